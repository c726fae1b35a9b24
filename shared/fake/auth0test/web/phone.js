// Keeps the list of pushes fresh: asks every second, changes only what changed, and counts down in between.
"use strict";

const list = document.getElementById("pushes");
const template = document.getElementById("card");
const user = document.querySelector("main").dataset.user;
const cards = new Map([...list.children].map((li) => [li.dataset.push, li]));

function text(li, selector, value) {
  const element = li.querySelector(selector);
  if (element.textContent !== value) element.textContent = value;
}

function clock(seconds) {
  return Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}

function create(push) {
  const li = template.content.firstElementChild.cloneNode(true);
  li.dataset.push = push.id;
  li.dataset.email = push.email;
  li.querySelector("form").action = "/phone/pushes/" + encodeURIComponent(push.id);
  text(li, ".app", push.client);
  text(li, ".email", push.email);
  text(li, ".binding", push.binding_message);
  text(li, ".code", push.code);
  for (const fact of push.facts || []) {
    const name = document.createElement("dt");
    const value = document.createElement("dd");
    name.textContent = fact.name;
    value.textContent = fact.value;
    li.querySelector(".facts").append(name, value);
  }
  cards.set(push.id, li);
  list.prepend(li);
  return li;
}

function draw(pushes) {
  const seen = new Set(pushes.map((push) => push.id));
  for (const [id, li] of cards) {
    if (!seen.has(id)) {
      li.remove();
      cards.delete(id);
    }
  }
  for (const push of [...pushes].reverse()) {
    const li = cards.get(push.id) || create(push);
    li.dataset.status = push.status;
    text(li, ".left", push.status === "pending" ? clock(push.seconds_left) : push.status);
  }
  document.getElementById("empty").hidden = pushes.length > 0;
}

async function refresh() {
  try {
    const answer = await fetch("/phone/pushes?user=" + encodeURIComponent(user));
    if (!answer.ok) throw new Error(answer.statusText);
    const { pushes } = await answer.json();
    draw(pushes);
    document.getElementById("offline").hidden = true;
  } catch {
    document.getElementById("offline").hidden = false;
  }
  document.getElementById("clock").textContent = new Date().toTimeString().slice(0, 5);
}

list.addEventListener("submit", async (event) => {
  event.preventDefault();
  const buttons = event.target.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await fetch(event.target.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams({ decision: event.submitter.value }),
    });
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    await refresh();
  }
});

setInterval(refresh, 1000);
