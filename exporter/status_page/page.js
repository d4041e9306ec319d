// Shows each instant in the reader's own time zone. The page is complete without it.
"use strict";
const time = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const day = { day: "numeric", month: "short", year: "numeric" };
const hasDay = /^\d{4}-/;
for (const element of document.querySelectorAll("time")) {
  const shown = element.textContent;
  const format = new Intl.DateTimeFormat("en-GB", hasDay.test(shown) ? { ...day, ...time } : time);
  element.textContent = format.format(new Date(element.dateTime));
  element.title = shown;
}
