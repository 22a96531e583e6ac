"use strict";
// The two live pages of the demo: a WebSocket that echoes, and an event stream that ticks.
const log = document.querySelector("output");
const say = (line) => {
  log.textContent = `${log.textContent}${line}\n`.split("\n").slice(-200).join("\n");
  log.scrollTop = log.scrollHeight;
};

if (document.body.dataset.page === "/websocket") {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/echo`);
  socket.onopen = () => say("open");
  socket.onmessage = (event) => say(`< ${event.data}`);
  socket.onclose = (event) => say(`closed (${event.code}${event.reason ? `, ${event.reason}` : ""})`);
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    if (socket.readyState !== WebSocket.OPEN) return say("not open");
    say(`> ${field.value}`);
    socket.send(field.value);
    field.value = "";
  };
}

if (document.body.dataset.page === "/ticks") {
  const events = new EventSource("/events");
  events.onopen = () => say("open");
  events.onmessage = (event) => say(`tick ${event.data}`);
  events.onerror = () => say(events.readyState === EventSource.CLOSED ? "closed" : "broken off, trying again");
}
