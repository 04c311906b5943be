// What an EventSource gives for a stream, in Node and in a browser alike.
//
// A job is {url, types, seconds, returns}; the last says whether to come back after a drop. The
// answer is a list of [type, data, lastEventId], up to and with the event "end"; what went wrong
// instead stands last, alone in its list.
"use strict";

function read(EventSource, job) {
  return new Promise((resolve) => {
    const events = [];
    const source = new EventSource(job.url);
    const finish = (fault) => {
      clearTimeout(timer);
      source.close();
      resolve(fault ? events.concat([[fault]]) : events);
    };
    const timer = setTimeout(finish, job.seconds * 1000, "no end");
    const types = new Set(job.types.concat(["message", "end", "error"]));
    for (const type of types) {
      source.addEventListener(type, (event) => {
        // The end of a connection is an event "error" too, one without data.
        if (event.data === undefined) {
          if (event.type === "error" && (!job.returns || source.readyState === 2)) {
            finish("no more");
          }
          return;
        }
        events.push([event.type, event.data, event.lastEventId]);
        if (event.type === "end") {
          finish();
        }
      });
    }
  });
}

// Four at a time: a browser opens no more than six connections to one server.
async function readAll(EventSource, jobs) {
  const answers = [];
  let next = 0;
  async function work() {
    while (next < jobs.length) {
      const job = next++;
      answers[job] = await read(EventSource, jobs[job]);
    }
  }
  await Promise.all([work(), work(), work(), work()]);
  return answers;
}

if (typeof module !== "undefined") {
  module.exports = { readAll };
}
