// The readers on Node: node.js READER, jobs as JSON on stdin, their answers as JSON on stdout.
"use strict";

const fs = require("fs");
const { createRequire } = require("module");
const path = require("path");
const { readAll, readEventSource } = require("./eventsource.js");

const installed = createRequire(path.join(process.env.SSE_NODE_MODULES || ".", "_"));

// A parser that is not an HTTP client. It gives the id field of each event, and undefined for
// none: the last event ID is its user's affair.
async function parse(createParser, job) {
  const events = [];
  let lastEventId = "";
  const parser = createParser({
    onEvent(event) {
      if (event.id !== undefined) {
        lastEventId = event.id;
      }
      events.push([event.event || "message", event.data, lastEventId]);
    },
  });
  const decoder = new TextDecoder();
  for await (const piece of (await fetch(job.url)).body) {
    parser.feed(decoder.decode(piece, { stream: true }));
  }
  return events;
}

async function main() {
  const jobs = JSON.parse(fs.readFileSync(0, "utf-8"));
  switch (process.argv[2]) {
    case "eventsource-parser":
      return readAll(parse, installed("eventsource-parser").createParser, jobs);
    case "eventsource":
      return readAll(readEventSource, installed("eventsource").EventSource, jobs);
    default:
      return readAll(readEventSource, globalThis.EventSource, jobs);
  }
}

main().then((answers) => {
  process.stdout.write(JSON.stringify(answers), () => process.exit(0));
});
