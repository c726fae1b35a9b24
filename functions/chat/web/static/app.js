// The page of a signed-in person: conversation, approvals, activity. No framework, no build step.
// Text from the server and from people becomes text nodes, never markup.

const byId = (id) => document.getElementById(id);
const log = byId("log"), scroll = byId("scroll"), composer = byId("composer"), input = byId("message"), sendButton = byId("send");
const SVG = "http://www.w3.org/2000/svg";

// el("p", { class: "x" }, "text", node) makes an element. Attribute values and texts are never parsed.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null && c !== ""));
  return node;
}

// named returns the nodes of a sentence. Names in quotation marks are isolated (bdi), so that a name written from right to left does not
// change the order of the words around it.
const named = (sentence) => String(sentence ?? "").split(/("[^"]*")/).map((part, i) => (i % 2 ? el("bdi", {}, part) : part));

function icon(name) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}

function markNode() {
  const node = document.querySelector(".brand .mark").cloneNode(true);
  return node;
}

function toast(text) {
  const node = el("div", { class: "toast" }, text);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 4000);
}

// ---- Text with a little structure: paragraphs, lists, tables, code, bold. ----

function inline(text) {
  const out = document.createDocumentFragment();
  const pattern = /\*\*([^*\n]+)\*\*|`([^`\n]+)`/g;
  let at = 0;
  for (const m of text.matchAll(pattern)) {
    out.append(...named(text.slice(at, m.index)), m[1] !== undefined ? el("strong", {}, m[1]) : el("code", {}, m[2]));
    at = m.index + m[0].length;
  }
  out.append(...named(text.slice(at)));
  return out;
}

const BULLET = /^\s*[-*•]\s+(.*)$/, NUMBER = /^\s*\d{1,3}[.)]\s+(.*)$/, HEADING = /^#{1,4}\s+(.*)$/, ROW = /^\s*\|(.+)\|\s*$/, RULE = /^\s*\|[\s:|-]+\|\s*$/;

function blocks(text) {
  const out = document.createDocumentFragment();
  const lines = text.split("\n");
  const take = (pattern) => {
    const found = [];
    while (lines.length && pattern.test(lines[0])) found.push(lines.shift().match(pattern)[1]);
    return found;
  };
  while (lines.length) {
    const line = lines[0];
    if (!line.trim()) {
      lines.shift();
    } else if (line.trim().startsWith("```")) {
      lines.shift();
      const code = [];
      while (lines.length && !lines[0].trim().startsWith("```")) code.push(lines.shift());
      lines.shift();
      out.append(el("pre", {}, el("code", {}, code.join("\n"))));
    } else if (BULLET.test(line)) {
      out.append(el("ul", {}, ...take(BULLET).map((t) => el("li", {}, inline(t)))));
    } else if (NUMBER.test(line)) {
      out.append(el("ol", {}, ...take(NUMBER).map((t) => el("li", {}, inline(t)))));
    } else if (HEADING.test(line)) {
      out.append(el("h3", {}, inline(lines.shift().match(HEADING)[1])));
    } else if (ROW.test(line) && lines.length > 1 && RULE.test(lines[1])) {
      out.append(table(lines));
    } else {
      const paragraph = el("p");
      while (lines.length && lines[0].trim() && ![BULLET, NUMBER, HEADING].some((p) => p.test(lines[0])) && !lines[0].trim().startsWith("```")) {
        if (paragraph.childNodes.length) paragraph.append(el("br"));
        paragraph.append(inline(lines.shift()));
      }
      out.append(paragraph);
    }
  }
  return out;
}

function table(lines) {
  const cells = (line) => line.match(ROW)[1].split("|").map((c) => c.trim());
  const head = cells(lines.shift());
  lines.shift();
  const body = [];
  while (lines.length && ROW.test(lines[0])) body.push(cells(lines.shift()));
  return el("div", { class: "table", tabindex: "0" }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((c) => el("th", { scope: "col" }, inline(c))))),
    el("tbody", {}, ...body.map((r) => el("tr", {}, ...r.map((c) => el("td", {}, inline(c))))))));
}

// ---- The conversation. ----

const store = "steward:" + document.body.dataset.conversation;
let entries = []; // of this conversation; shown again after a reload of this tab
for (const key of Object.keys(sessionStorage)) {
  if (key.startsWith("steward:") && key !== store) sessionStorage.removeItem(key);
}

function save() {
  try {
    sessionStorage.setItem(store, JSON.stringify(entries.slice(-60)));
  } catch {
    // If the store is full, a reload does not show the conversation again.
  }
}

const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 90;
function toEnd() { scroll.scrollTop = scroll.scrollHeight; }

function addNode(node) {
  byId("welcome").hidden = true;
  const follow = atEnd();
  log.append(node);
  if (follow) toEnd();
}

function addQuestion(text) {
  addNode(el("div", { class: "say" }, el("span", { class: "visually-hidden" }, "You: "), text));
}

function seconds(ms) {
  return ms < 950 ? ms + " ms" : (ms / 1000).toFixed(1) + " s";
}

const STEP_ICONS = { model: "think", rationale: "think", call: "bolt", result: "check", reprompt: "warn", guardrail: "shield", failure: "cross" };

function stepNode(step) {
  const meta = [];
  if (step.ms) meta.push(seconds(step.ms));
  if (step.input_tokens || step.output_tokens) meta.push((step.input_tokens || 0) + " tokens in, " + (step.output_tokens || 0) + " out");
  return el("li", { class: "step", "data-step": step.step },
    el("span", { class: "step-icon" }, icon(STEP_ICONS[step.step] || "dash")),
    el("div", {},
      el("div", { class: "step-title" }, step.title, meta.length ? el("span", { class: "step-meta" }, meta.join(" · ")) : ""),
      step.parameters ? el("div", { class: "params" }, ...step.parameters.map((p) => el("span", {}, el("b", {}, p.name), el("bdi", {}, p.value)))) : "",
      step.text ? el("div", { class: "step-text" }, ...named(step.text)) : ""));
}

// Answer shows one answer while it arrives.
class Answer {
  constructor() {
    this.entry = { role: "answer", text: "", steps: [] };
    this.textNode = el("div", { class: "text", "data-testid": "answer" });
    this.waiting = el("div", { class: "thinking" }, el("i"), el("i"), el("i"), el("span", {}, "Looking into it"));
    this.body = el("div", { class: "answer-body" }, this.waiting, this.textNode);
    this.node = el("article", { class: "answer live", "aria-label": "Steward", "aria-busy": "true" }, markNode(), this.body);
    this.started = performance.now();
    addNode(this.node);
  }

  text(piece) {
    this.entry.text += piece;
    if (!this.drawn) return this.draw(); // the first word does not wait for a frame
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = undefined;
    this.drawn = true;
    this.waiting.remove();
    const follow = atEnd();
    this.textNode.replaceChildren(blocks(this.entry.text));
    if (follow) toEnd();
  }

  step(step) {
    this.entry.steps.push(step);
    if (!this.trace) {
      this.label = el("span");
      this.list = el("ol", { class: "steps" });
      this.trace = el("details", { class: "trace", "data-testid": "trace" }, el("summary", {}, icon("chevron"), this.label), this.list);
      this.body.append(this.trace);
    }
    this.list.append(stepNode(step));
    const calls = this.entry.steps.filter((s) => s.step === "call").length;
    this.label.textContent = "How I got this" + (calls ? " · " + calls + (calls === 1 ? " step" : " steps") : "");
    if (step.step === "call" && this.waiting.isConnected) this.waiting.lastChild.textContent = step.title;
  }

  problem(message, ref, again) {
    this.entry.problem = { message, ref };
    this.waiting.remove();
    const node = el("div", { class: "problem", role: "alert", "data-testid": "problem" }, icon("warn"),
      el("div", {}, el("p", {}, ...named(message)), ref ? el("p", { class: "reference" }, "Reference ", el("code", {}, ref)) : ""));
    if (again) {
      const button = el("button", { class: "button plain", type: "button" }, "Try again");
      button.addEventListener("click", () => ask(again));
      node.lastChild.append(button);
    }
    this.body.insertBefore(node, this.trace ?? null);
    toEnd();
  }

  end() {
    cancelAnimationFrame(this.frame);
    if (this.entry.text) this.draw();
    this.waiting.remove();
    this.entry.ms ??= Math.round(performance.now() - this.started);
    if (this.trace) this.label.textContent += " · " + seconds(this.entry.ms);
    this.node.classList.remove("live");
    this.node.removeAttribute("aria-busy");
  }
}

// offerConnect adds the button that connects Okta, unless the page shows it already.
function offerConnect(after) {
  if (document.querySelector("[data-testid=connect-card]")) return;
  after.after(el("section", { class: "callout", "data-testid": "connect-card" },
    el("span", { class: "callout-icon" }, icon("link")),
    el("div", {}, el("h2", {}, "Connect your Okta account"), el("p", {}, "Steward works with your own Okta access, so it needs your permission. You can disconnect it at any time in the account menu.")),
    el("a", { class: "button primary", href: "/connect", "data-testid": "connect" }, "Connect Okta")));
  toEnd();
}

function addOutcome(entry) {
  addNode(el("div", { class: "notice", "data-testid": "outcome", "data-status": entry.status },
    el("span", { class: "dot" }),
    el("span", {}, el("span", { class: "tag" }, entry.code), " ", el("b", {}, ...named(entry.summary)), ": ", ...named(entry.words))));
}

function restore() {
  try {
    entries = JSON.parse(sessionStorage.getItem(store)) ?? [];
  } catch {
    entries = [];
  }
  for (const entry of entries) {
    if (entry.role === "question") addQuestion(entry.text);
    if (entry.role === "outcome") addOutcome(entry);
    if (entry.role !== "answer") continue;
    const answer = new Answer();
    answer.entry.ms = entry.ms;
    if (entry.text) answer.text(entry.text);
    for (const step of entry.steps) answer.step(step);
    if (entry.problem) answer.problem(entry.problem.message, entry.problem.ref);
    answer.end();
  }
  if (entries.length) toEnd();
}

// ---- Asking. ----

let running; // AbortController of the running answer

// events reads a text/event-stream (HTML, "Server-sent events") and yields [name, data].
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const lines = rest.slice(0, end).split("\n");
      rest = rest.slice(end + 2);
      const name = lines.find((l) => l.startsWith("event: ")), data = lines.find((l) => l.startsWith("data: "));
      if (name && data) yield [name.slice(7), JSON.parse(data.slice(6))];
    }
  }
}

async function ask(text) {
  text = text.trim();
  if (!text || running) return;
  running = new AbortController();
  showSending();
  addQuestion(text);
  entries.push({ role: "question", text });
  const answer = new Answer();
  toEnd();
  let ended = false;
  try {
    const response = await fetch("/api/chat", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: text }), signal: running.signal,
    });
    if (!response.ok) {
      await refused(response, answer, text);
      ended = true;
    } else {
      for await (const [name, data] of events(response.body)) {
        if (name === "text") answer.text(data.text);
        else if (name === "trace") answer.step(data);
        else if (name === "approval") approvalStarted(data);
        else if (name === "error") answer.problem(data.message, data.ref, text);
        else if (name === "done") {
          ended = true;
          if (data.connect) offerConnect(answer.node);
        }
      }
    }
    if (!ended) answer.problem("The connection broke before the answer was complete. Please try again.", "", text);
  } catch (error) {
    if (error.name === "AbortError") answer.problem("Stopped. If your phone shows a request already, you can still answer it there.", "");
    else answer.problem("Steward cannot be reached. Check your connection and try again.", "", text);
  } finally {
    answer.end();
    entries.push(answer.entry);
    save();
    running = undefined;
    showSending();
    poll();
    if (!byId("pane-activity").hidden) loadActivity();
  }
}

async function refused(response, answer, again) {
  const problem = await response.json().catch(() => ({ message: "Something went wrong on our side. Please try again." }));
  answer.problem(problem.message, problem.ref, response.status === 401 || response.status === 413 ? undefined : again);
  if (response.status === 401) signedOut();
}

function signedOut() {
  clearTimeout(timer);
  sessionEnded = true;
  const link = el("a", { class: "button primary", href: "/login" }, "Sign in again");
  addNode(el("div", { class: "notice", "data-testid": "signed-out" }, el("span", {}, "Your sign-in has ended. "), link));
  toEnd();
}

function showSending() {
  const busy = Boolean(running);
  sendButton.disabled = !busy && !input.value.trim();
  sendButton.setAttribute("aria-label", busy ? "Stop" : "Send");
  sendButton.replaceChildren(icon(busy ? "stop" : "send"));
}

function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  input.style.height = "auto";
  input.style.height = Math.min(input.scrollHeight, 200) + "px";
}

function fill(text) {
  input.value = text;
  input.focus();
  input.setSelectionRange(text.length, text.length);
  grow();
  showSending();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) return running.abort();
  const text = input.value;
  if (!text.trim()) return;
  input.value = "";
  grow();
  ask(text);
  input.focus();
});
input.addEventListener("input", () => { grow(); showSending(); });
let sending = false; // Enter is pressed to send; no line break may follow
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sending = true;
  if (!running) composer.requestSubmit();
});
input.addEventListener("keyup", () => { sending = false; });
input.addEventListener("beforeinput", (event) => {
  if (sending && (event.inputType === "insertLineBreak" || event.data === "\n" || event.data === "\r")) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !accountMenu.hidden) {
    showAccount(false);
    accountToggle.focus();
  } else if (event.key === "Escape" && panel.classList.contains("open")) showPanel(false);
  else if (event.key === "Escape" && running) running.abort();
  else if (event.key === "/" && !event.metaKey && !event.ctrlKey && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    input.focus();
  }
});
for (const button of document.querySelectorAll("[data-send]")) button.addEventListener("click", () => ask(button.dataset.send));
for (const button of document.querySelectorAll("[data-fill]")) button.addEventListener("click", () => fill(button.dataset.fill));

byId("new-chat").addEventListener("click", async () => {
  running?.abort();
  const response = await fetch("/api/chat/new", { method: "POST" }).catch(() => undefined);
  if (response?.ok) {
    sessionStorage.removeItem(store);
    location.assign("/");
  } else if (response?.status === 401) {
    signedOut();
  } else {
    toast((await response?.json().catch(() => undefined))?.message ?? "Steward cannot be reached. Please try again.");
  }
});
byId("logout-form").addEventListener("submit", () => sessionStorage.clear());

// ---- Approvals. ----

const STATUS = {
  pending: "Waiting for your phone", approved: "Approved", executing: "In progress", done: "Done", failed: "Not done",
  unknown: "Outcome unknown", denied: "Denied on your phone", expired: "Expired without an answer", cancelled: "Cancelled",
};
const OPEN = new Set(["pending", "approved", "executing"]);
const cards = new Map(); // id → Card
let sessionEnded = false, polled = false, polling = false, skew = 0, timer;

class Card {
  constructor(approval) {
    this.status = el("span");
    this.clock = el("span", { class: "clock" });
    this.result = el("p", { class: "card-result" });
    this.left = el("span");
    const cancel = el("button", { class: "button plain", type: "button", "data-testid": "cancel", "aria-label": "Cancel: " + approval.summary }, "Cancel");
    cancel.addEventListener("click", () => this.cancel(cancel));
    this.node = el("article", { class: "card", "data-testid": "approval-card", "data-code": approval.code },
      el("div", { class: "card-top" }, el("span", { class: "status" }, el("span", { class: "dot" }), this.status), this.clock),
      el("p", { class: "card-summary" }, ...named(approval.summary)),
      this.result,
      el("div", { class: "code", role: "img", "aria-label": "Code " + [...approval.code].join(" ") }, ...[...approval.code].map((c) => el("b", {}, c))),
      el("p", { class: "card-note" }, "Approve only if your phone shows this code."),
      el("div", { class: "meter" }, this.left),
      el("div", { class: "card-foot" }, el("span"), cancel));
    this.update(approval);
  }

  update(approval) {
    this.approval = approval;
    this.node.dataset.status = approval.status;
    this.status.textContent = STATUS[approval.status] ?? approval.status;
    this.result.replaceChildren(...named(approval.result));
    this.result.hidden = !approval.result;
    this.tick();
  }

  tick() {
    const { status, expires_at, created_at } = this.approval;
    if (status !== "pending") {
      this.clock.replaceChildren(el("span", { class: "mini" }, this.approval.code), " · " + ago(created_at));
      return;
    }
    const left = Math.max(0, Date.parse(expires_at) - Date.now() - skew), whole = Date.parse(expires_at) - Date.parse(created_at);
    this.clock.textContent = Math.floor(left / 60000) + ":" + String(Math.floor(left / 1000) % 60).padStart(2, "0");
    this.left.style.transform = "scaleX(" + Math.min(1, left / Math.max(1, whole)).toFixed(4) + ")";
  }

  async cancel(button) {
    button.disabled = true;
    const response = await fetch("/api/approvals/" + encodeURIComponent(this.approval.id) + "/cancel", { method: "POST" }).catch(() => undefined);
    button.disabled = false;
    if (response?.ok) return approvalsChanged([await response.json()], false);
    if (response?.status === 401) return signedOut();
    toast((await response?.json().catch(() => undefined))?.message ?? "Steward cannot be reached. Please try again.");
    poll();
  }
}

// approvalsChanged updates the cards. With the first list of a page it also shows outcomes that the page has missed.
function approvalsChanged(list, first) {
  for (const approval of list) {
    const card = cards.get(approval.id);
    if (!card) {
      cards.set(approval.id, new Card(approval));
    } else if (card.approval.status !== approval.status || card.approval.result !== approval.result) {
      if (!OPEN.has(approval.status) && OPEN.has(card.approval.status)) outcome(approval);
      card.update(approval);
    }
    if (first && !OPEN.has(approval.status)) showMissedOutcome(approval);
  }
  arrange();
}

// approvalStarted adds the card and, if the panel is hidden, a notice in the conversation.
function approvalStarted(approval) {
  approvalsChanged([approval], false);
  if (approval.status !== "pending" || getComputedStyle(panel).visibility !== "hidden") return;
  const show = el("button", { class: "button plain", type: "button" }, "Show");
  show.addEventListener("click", () => { select(tabs[0]); showPanel(true); });
  addNode(el("div", { class: "notice", "data-status": "pending" }, el("span", { class: "dot" }),
    el("span", {}, el("span", { class: "tag" }, approval.code), " waits for your phone"), show));
}

function outcome(approval) {
  const entry = { role: "outcome", id: approval.id, code: approval.code, summary: approval.summary, status: approval.status, words: approval.result || (STATUS[approval.status] ?? approval.status) + "." };
  entries.push(entry);
  save();
  addOutcome(entry);
}

// showMissedOutcome shows, after a reload, the outcome of a change of this conversation that ended in the meantime.
function showMissedOutcome(approval) {
  const asked = entries.some((e) => e.role === "answer" && e.text.includes(approval.code));
  if (asked && !entries.some((e) => e.role === "outcome" && e.id === approval.id)) outcome(approval);
}

function arrange() {
  const order = [...cards.values()].sort((a, b) => OPEN.has(b.approval.status) - OPEN.has(a.approval.status) || b.approval.created_at.localeCompare(a.approval.created_at));
  const list = byId("cards");
  order.forEach((card, i) => { if (list.children[i] !== card.node) list.insertBefore(card.node, list.children[i] ?? null); });
  const waiting = order.filter((c) => c.approval.status === "pending").length;
  byId("no-approvals").hidden = order.length > 0;
  for (const badge of document.querySelectorAll("[data-badge]")) {
    badge.hidden = waiting === 0;
    badge.textContent = waiting;
  }
  byId("panel-toggle").setAttribute("aria-label", waiting ? "Approvals, " + waiting + " waiting" : "Approvals");
}

async function poll() {
  if (sessionEnded || polling) return;
  polling = true;
  clearTimeout(timer);
  try {
    const response = await fetch("/api/approvals");
    if (response.status === 401) return signedOut();
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (date) skew = Math.abs(date - Date.now()) > 5000 ? date - Date.now() : 0;
    if (response.ok) {
      approvalsChanged(await response.json(), !polled);
      polled = true;
    }
  } catch {
    // The next poll may succeed.
  } finally {
    polling = false;
    schedule();
  }
}

function schedule() {
  clearTimeout(timer);
  if (sessionEnded) return;
  const open = [...cards.values()].some((c) => OPEN.has(c.approval.status));
  timer = setTimeout(poll, open && !document.hidden ? 2000 : 20000);
}

setInterval(() => { for (const card of cards.values()) card.tick(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
addEventListener("focus", poll);
addEventListener("online", poll);

// ---- Activity. ----

function ago(when) {
  const s = Math.max(0, (Date.now() + skew - Date.parse(when)) / 1000);
  if (s < 60) return "now";
  if (s < 3600) return Math.floor(s / 60) + " min ago";
  if (s < 86400) return Math.floor(s / 3600) + " h ago";
  return new Date(when).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function tone(e) {
  if (e.decision === "denied") return "bad";
  if (["done", "ok", ""].includes(e.outcome)) return e.approval && e.outcome === "" ? "wait" : "good";
  return ["approved", "expired", "cancelled", "pending"].includes(e.outcome) ? "wait" : "bad";
}

const TONES = { good: "check", bad: "cross", wait: "phone" };

// timeOf formats a time in the person's time zone, with the date unless it is today.
function timeOf(at) {
  const day = new Date(at), sameDay = day.toDateString() === new Date().toDateString();
  return day.toLocaleString(undefined, sameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

function eventNode(e) {
  const t = tone(e), title = el("span", { class: "event-title" }, ...named(e.sentence));
  const steps = (e.steps ?? []).map((s) => s.what + " " + timeOf(s.at)).join(", ");
  if (steps) title.append(" " + steps[0].toUpperCase() + steps.slice(1) + ".");
  const detail = el("div", { class: "event-detail" });
  const id = e.reference || e.okta_request;
  if (id) detail.append((e.reference ? "Reference " : "Okta request "), el("code", { title: id }, id.length > 12 ? id.slice(0, 11) + "…" : id));
  return el("li", { class: "event", "data-tone": t, "data-testid": "activity-entry" },
    el("span", { class: "event-icon" }, icon(TONES[t])),
    title,
    el("time", { datetime: e.at, title: new Date(e.at).toLocaleString() }, ago(e.at)),
    detail.textContent ? detail : "");
}

async function loadActivity() {
  const response = await fetch("/api/activity").catch(() => undefined);
  if (response?.status === 401) return signedOut();
  const trail = byId("trail"), empty = byId("no-activity");
  if (!response?.ok) {
    const problem = await response?.json().catch(() => undefined);
    trail.replaceChildren(el("li", { class: "problem" }, icon("warn"), el("div", {}, el("p", {}, problem?.message ?? "Steward cannot be reached. Please try again."))));
    empty.hidden = true;
    return;
  }
  const list = await response.json();
  trail.replaceChildren(...list.map(eventNode));
  empty.hidden = list.length > 0;
}

// ---- The panel. ----

const panel = byId("panel"), tabs = [byId("tab-approvals"), byId("tab-activity")];

function select(tab) {
  for (const t of tabs) {
    const on = t === tab;
    t.setAttribute("aria-selected", String(on));
    t.tabIndex = on ? 0 : -1;
    byId(t.getAttribute("aria-controls")).hidden = !on;
  }
  if (tab.id === "tab-activity") loadActivity();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs[1 - tabs.indexOf(tab)];
    select(other);
    other.focus();
  });
}

function showPanel(open) {
  panel.classList.toggle("open", open);
  byId("panel-toggle").setAttribute("aria-expanded", String(open));
  (open ? byId("panel-close") : byId("panel-toggle")).focus();
}
byId("panel-toggle").addEventListener("click", () => showPanel(!panel.classList.contains("open")));
byId("panel-close").addEventListener("click", () => showPanel(false));

// ---- The account menu. ----

const accountToggle = byId("account-toggle"), accountMenu = byId("account");

function showAccount(open) {
  accountMenu.hidden = !open;
  accountToggle.setAttribute("aria-expanded", String(open));
  if (open) loadAccount();
}

async function loadAccount() {
  const response = await fetch("/api/account").catch(() => undefined);
  if (response?.status === 401) return signedOut();
  const account = await response?.json().catch(() => undefined);
  const since = byId("okta-since");
  if (response?.ok && since && account.since) since.textContent = "connected since " + new Date(account.since).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

accountToggle.addEventListener("click", () => showAccount(accountMenu.hidden));
document.addEventListener("click", (event) => { if (!event.target.closest(".account")) showAccount(false); });
accountMenu.parentNode.addEventListener("focusout", (event) => {
  if (event.relatedTarget && !accountMenu.parentNode.contains(event.relatedTarget)) showAccount(false);
});

// ---- Begin. ----

restore();
showSending();
poll();
const ARRIVED = {
  "#connected": "Your Okta account is connected.",
  "#disconnected": "Your Okta account is disconnected. Other browsers where you are signed in may use it for up to an hour.",
};
if (ARRIVED[location.hash]) {
  toast(ARRIVED[location.hash]);
  history.replaceState(null, "", "/");
}
