// What a client gives for a stream, in Node and in a browser alike.
//
// A job is {url, types, seconds, returns}; the last says whether to reconnect after a drop. The
// answer is a list of [type, data, lastEventId], up to and with the event "end"; what went wrong
// instead stands last, alone in its list.
"use strict";

function readEventSource(EventSource, job) {
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

// @microsoft/fetch-event-source, as its README has it: an error that is thrown in onclose
// reconnects, one that is thrown in onerror ends it.
function readFetchEventSource(fetchEventSource, job) {
  return new Promise((resolve) => {
    const events = [];
    const controller = new AbortController();
    const finish = (fault) => {
      clearTimeout(timer);
      controller.abort();
      resolve(fault ? events.concat([[fault]]) : events);
    };
    const timer = setTimeout(finish, job.seconds * 1000, "no end");
    fetchEventSource(job.url, {
      openWhenHidden: true,
      signal: controller.signal,
      onmessage(event) {
        events.push([event.event || "message", event.data, event.id]);
        if (event.event === "end") {
          finish();
        }
      },
      onclose() {
        throw new Error("no more");
      },
      onerror(error) {
        if (!job.returns) {
          throw error;
        }
      },
    }).then(finish, (error) => finish(error.message));
  });
}

// Four at a time: a browser opens no more than six connections to one server.
async function readAll(read, client, jobs) {
  const answers = [];
  let next = 0;
  async function work() {
    while (next < jobs.length) {
      const job = next++;
      answers[job] = await read(client, jobs[job]);
    }
  }
  await Promise.all([work(), work(), work(), work()]);
  return answers;
}

if (typeof module !== "undefined") {
  module.exports = { readAll, readEventSource };
}
