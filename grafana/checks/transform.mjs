// node transform.mjs PACKAGE < {"transformations": […], "reply": a Prometheus reply, "units": […]}
// Runs a panel's transformations in one of Grafana's @grafana/data packages. Prints the table, and the units that Grafana does not know.
import { createRequire } from 'node:module';
import { JSDOM } from 'jsdom';
import { readFileSync } from 'node:fs';

const { window } = new JSDOM('', { url: 'http://localhost/' });
for (const name of ['window', 'document', 'navigator', 'localStorage', 'HTMLElement', 'Element', 'Node', 'DOMParser', 'ResizeObserver', 'getComputedStyle']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true });
}
console.info = console.log = () => {}; // stdout is for the result, not for a library's advertising
const grafana = createRequire(import.meta.url)(process.argv[2]);
const { transformations, reply, units } = JSON.parse(readFileSync(0, 'utf8'));

// What Grafana fills in at its start; a transformer that was renamed is listed under both names.
const loads = Number(process.argv[2].split('-')[1]) >= 13; // from 13 on they are loaded when needed
const transformers = new Map(Object.values(grafana.standardTransformers).map((each) => [each.id, each]));
grafana.standardTransformersRegistry.setInit(() =>
  [...transformers].map(([id, transformation]) => ({ id, name: transformation.name, transformation: loads ? async () => transformation : transformation })),
);

// What the Prometheus data source makes of a reply to an instant query in table format: a column for the time, each label, the value.
function table({ data: { result } }) {
  const { FieldType, createDataFrame } = grafana;
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return createDataFrame({
    refId: 'A',
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: result.map(({ metric }) => metric[label] ?? '') })),
      { name: 'Value', type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
    ],
  });
}

const known = grafana.getValueFormatterIndex();
const unknown = units.filter((unit) => !known[unit] && !/^(suffix|prefix):./.test(unit));
grafana.transformDataFrame(transformations, [table(reply)]).subscribe((frames) => {
  const fields = frames.map((frame) =>
    frame.fields.map((field) => ({ name: grafana.getFieldDisplayName(field, frame, frames), type: field.type, values: Array.from(field.values) })),
  );
  process.stdout.write(JSON.stringify({ frames: fields, unknown }));
});
