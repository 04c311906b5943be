// The readers on Node: node.js READER, jobs as JSON on stdin, their answers as JSON on stdout.
"use strict";

const fs = require("fs");
const { createRequire } = require("module");
const path = require("path");
const { readAll } = require("./eventsource.js");

const installed = createRequire(path.join(process.env.SSE_NODE_MODULES || ".", "_"));

// A parser that is no HTTP client. It gives the id field of each event, and undefined for none:
// the last event ID is its user's affair.
function parse(job) {
  const { createParser } = installed("eventsource-parser");
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
  for (const piece of job.pieces) {
    parser.feed(decoder.decode(Buffer.from(piece, "base64"), { stream: true }));
  }
  return events;
}

async function main() {
  const jobs = JSON.parse(fs.readFileSync(0, "utf-8"));
  switch (process.argv[2]) {
    case "eventsource-parser":
      return jobs.map(parse);
    case "eventsource":
      return readAll(installed("eventsource").EventSource, jobs);
    default:
      return readAll(globalThis.EventSource, jobs);
  }
}

main().then((answers) => {
  process.stdout.write(JSON.stringify(answers), () => process.exit(0));
});
