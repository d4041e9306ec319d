// node transform.mjs PACKAGE < {"transformations": […], "replies": one of Prometheus for each query, "units": […]}
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
const { transformations, replies, units } = JSON.parse(readFileSync(0, 'utf8'));

// What Grafana fills in at its start; a transformer that was renamed is listed under both names.
const loads = Number(process.argv[2].split('-')[1]) >= 13; // from 13 on they are loaded when needed
const transformers = new Map(Object.values(grafana.standardTransformers).map((each) => [each.id, each]));
grafana.standardTransformersRegistry.setInit(() =>
  [...transformers].map(([id, transformation]) => ({ id, name: transformation.name, transformation: loads ? async () => transformation : transformation })),
);

// What the Prometheus data source makes of a reply to an instant query: for each series a frame with time and value.
function series({ data: { result } }, number) {
  const { FieldType, createDataFrame } = grafana;
  return result.map(({ metric, value }) =>
    createDataFrame({
      refId: 'ABCDE'[number],
      fields: [
        { name: 'Time', type: FieldType.time, values: [value[0] * 1000] },
        { name: 'Value', type: FieldType.number, labels: metric, values: [Number(value[1])], config: {} },
      ],
    }),
  );
}

const known = grafana.getValueFormatterIndex();
const unknown = units.filter((unit) => !known[unit] && !/^(suffix|prefix):./.test(unit));
grafana.transformDataFrame(transformations, replies.flatMap(series)).subscribe((frames) => {
  const fields = frames.map((frame) =>
    frame.fields.map((field) => ({ name: grafana.getFieldDisplayName(field, frame, frames), type: field.type, values: Array.from(field.values) })),
  );
  process.stdout.write(JSON.stringify({ frames: fields, unknown }));
});
