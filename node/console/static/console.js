// Single keys, and new rows behind a button. All of it has a visible twin that works without script.
"use strict";
(() => {
  const find = (what) => document.querySelector(what);

  // --- new rows wait until they are asked for; ten minutes, so that a session still goes idle
  const live = find("[data-newer]");
  if (live) {
    const words = find("[data-newer-words]");
    let rounds = 40;
    const look = async () => {
      try {
        const answer = await fetch(live.dataset.newer, { credentials: "same-origin" });
        const { newer, more } = await answer.json();
        if (newer) words.textContent = `${newer}${more ? "+" : ""} new`;
      } catch {
        rounds = 0;
      }
      rounds -= 1;
      if (rounds > 0) setTimeout(look, 15000);
    };
    setTimeout(look, 15000);
  }

  // --- what was ticked is kept when the person goes on by a link
  const keeping = find("form[data-keep]");
  if (keeping) {
    let dirty = false;
    keeping.addEventListener("change", (event) => { dirty ||= event.target.matches("[type=checkbox]"); });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[href]");
      const other = event.ctrlKey || event.metaKey || event.shiftKey || event.button;
      if (!dirty || !link || other || !keeping.action.startsWith(link.origin)) return;
      if (link.getAttribute("href").startsWith("#")) return;
      event.preventDefault();
      const go = document.createElement("input");
      Object.assign(go, { type: "hidden", name: "go", value: link.pathname + link.search + link.hash });
      keeping.append(go);
      HTMLFormElement.prototype.submit.call(keeping);
    });
  }

  // --- a narrow window shows rows as cards; some browsers then forget that it is a table
  for (const table of document.querySelectorAll("table.cards")) {
    table.setAttribute("role", "table");
    for (const part of table.tBodies) part.setAttribute("role", "rowgroup");
    table.tHead?.setAttribute("role", "rowgroup");
    for (const row of table.rows) {
      row.setAttribute("role", "row");
      for (const cell of row.cells) {
        const heads = { col: "columnheader", row: "rowheader", rowgroup: "rowheader" };
        cell.setAttribute("role", heads[cell.scope] ?? "cell");
      }
    }
  }

  // --- single keys
  if (document.body.dataset.keys === "off") return;
  const places = { h: "/", e: "/exchanges", r: "/review", p: "/peers", o: "/operations" };
  let going = false;
  let chosen = null;

  const rows = () => [...document.querySelectorAll("main table tbody tr")].filter(
    (row) => row.checkVisibility() && row.querySelector("a[href]"));
  const move = (step) => {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    next?.querySelector("a[href]").focus();
  };
  const choose = (range) => {
    const all = [...document.querySelectorAll("main table tbody input[type=checkbox]")];
    const row = document.activeElement.closest("tr");
    const at = all.findIndex((box) => row?.contains(box));
    if (at < 0) return;
    const from = range && chosen !== null ? Math.min(chosen, at) : at;
    const to = range && chosen !== null ? Math.max(chosen, at) : at;
    const state = range ? true : !all[at].checked;
    for (const box of all.slice(from, to + 1)) {
      box.checked = state;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
    chosen = at;
  };
  const use = (key) => {
    const target = find(`[data-press="${key}"]`);
    if (!target) return false;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target.matches("a[href], button")) target.click();
    else target.focus();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      else find(".crumb li:last-of-type")?.parentElement.querySelector("a:last-of-type")?.click();
      return;
    }
    if (typing) return;
    if (going) {
      going = false;
      const link = places[event.key] && find(`.rail a[href="${places[event.key]}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const acts = {
      "/": () => find("#q")?.focus(),
      "?": () => find(".foot a[href='/keys']")?.click(),
      g: () => { going = true; setTimeout(() => { going = false; }, 1500); },
      j: () => move(1),
      k: () => move(-1),
      x: () => choose(false),
      X: () => choose(true),
    };
    const act = acts[event.key] ?? (() => use(event.key));
    if (acts[event.key] || "face[]".includes(event.key)) { event.preventDefault(); act(); }
  });
})();
