// What the page gains with JavaScript: the list narrows while one types, and the prices' age moves on.
"use strict";

const age = document.getElementById("age");
if (age) {
  const confirmed = Date.now() - 1000 * age.dataset.seconds;
  const text = (seconds) => {
    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
    if (minutes < 1) return "less than a minute";
    if (hours < 1) return `${minutes} min`;
    return days < 1 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
  };
  setInterval(() => {
    const now = text(Math.max(0, Date.now() - confirmed) / 1000);
    if (age.textContent !== now) age.textContent = now;
  }, 1000);
}

const input = document.getElementById("q");
const table = document.getElementById("prices");
// A list that is too long for one page is searched by the server.
if (input && !("cut" in table.dataset)) {
  // The server may have sent a part of the list only; the whole is fetched when it is first needed.
  let partial = input.defaultValue !== "";
  let rows = [];
  const index = () => {
    rows = [...table.tBodies[0].rows].map((row) => {
      const [name, id] = row.cells[0].children;
      return [row, `${id.textContent}\n${name.textContent}`.toLowerCase()];
    });
  };

  const narrow = () => {
    const sought = input.value.trim();
    let count = 0;
    for (const [row, hay] of rows) {
      row.hidden = !hay.includes(sought.toLowerCase());
      count += !row.hidden;
    }
    table.hidden = count === 0;
    document.getElementById("nothing").hidden = count > 0;
    document.getElementById("sought").textContent = sought;
    document.getElementById("count").textContent = count;
    const carry = (address) => {
      const url = new URL(address);
      if (sought) url.searchParams.set("q", sought);
      else url.searchParams.delete("q");
      return url.href;
    };
    for (const link of document.querySelectorAll("a[data-sort]")) link.href = carry(link.href);
    history.replaceState(null, "", carry(location.href));
  };

  const whole = async () => {
    partial = false;
    const url = new URL(location.href);
    url.searchParams.delete("q");
    const page = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html");
    table.tBodies[0].replaceWith(page.querySelector("#prices tbody"));
    index();
  };

  index();
  input.addEventListener("input", async () => {
    if (partial) await whole().catch(() => input.form.submit());
    narrow();
  });
}
