// Keeps the page live: puts in what the box sends, says when the box is lost, counts an armed take-over down and
// cancels it on any other input. Without it the page reloads itself.
"use strict";

const silence = 45000; // three beats of the box
let heard = Date.now();

function lost(yes) {
  document.getElementById("lost").hidden = !yes;
  document.body.classList.toggle("lost", yes);
}

function alive() {
  heard = Date.now();
  document.getElementById("lost-at").textContent = new Date().toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hour12: false});
  lost(false);
}

function put(event) {
  const {id, html} = JSON.parse(event.data);
  const place = document.getElementById(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.innerHTML = html;
  if (focused) document.getElementById(focused)?.focus();
  countDown();
  alive();
}

let events;
function connect() {
  events?.close();
  events = new EventSource("/events");
  events.addEventListener("fragment", put);
  events.addEventListener("beat", alive);
  events.addEventListener("error", () => lost(true));
}

function countDown() {
  for (const e of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.ceil((e.dataset.until - Date.now()) / 1000));
    e.textContent = left + (left === 1 ? " second left." : " seconds left.");
  }
}

function tick() {
  countDown();
  const now = Date.now();
  if (now - heard > silence || events.readyState === EventSource.CLOSED) {
    heard = now;
    lost(true);
    connect();
  }
}

function cancel(event) {
  const form = document.getElementById("disarm");
  if (!form || form.dataset.sent || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  form.dataset.sent = "yes";
  event.preventDefault();
  form.requestSubmit();
}

document.addEventListener("keydown", cancel);
document.addEventListener("pointerdown", cancel);
connect();
setInterval(tick, 1000);
