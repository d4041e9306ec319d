// Shows each instant in the reader's own time zone. The page is complete without it.
const format = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
for (const element of document.querySelectorAll("time")) {
  element.title = element.textContent;
  element.textContent = format.format(new Date(element.dateTime));
}
