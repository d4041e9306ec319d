// node types.mjs PACKAGE: checks the dashboard with tsc against the types of one of Grafana's @grafana/schema packages. Prints what does not fit.
import { readFileSync, mkdtempSync, writeFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const schema = process.argv[2];
const board = JSON.parse(readFileSync(process.argv[3] ?? join(here, '../dashboards/smspartner.json'), 'utf8'));
// These are the Prometheus data source's own, of which the dashboard's types know nothing.
board.annotations.list = board.annotations.list.map(({ expr, titleFormat, textFormat, ...common }) => common);
const pluginOf = { stat: 'Stat', barchart: 'BarChart', bargauge: 'BarGauge', timeseries: 'TimeSeries' };
const configured = board.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter(({ type }) => type !== 'row');

// A string enum's values are written as strings in JSON. Literals are given, so that tsc refuses unknown properties too.
const source = `
import type { Dashboard } from '${schema}';
${Object.entries(pluginOf).map(([type, name]) => `import type * as ${type} from '${schema}/dist/esm/raw/composable/${type}/panelcfg/x/${name}PanelCfg_types.gen';`).join('\n')}
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
export const board: Json<Dashboard> = ${JSON.stringify(board)};
${configured.map(({ id, type, options }) => `export const options${id}: Json<Partial<${type}.Options>> = ${JSON.stringify(options)};`).join('\n')}
${configured.filter(({ type }) => !['stat', 'bargauge'].includes(type)).map(({ id, type, fieldConfig }) => `export const custom${id}: Json<Partial<${type}.FieldConfig>> = ${JSON.stringify(fieldConfig.defaults.custom ?? {})};`).join('\n')}
`;
const directory = mkdtempSync(join(here, '.types-'));
try {
  writeFileSync(join(directory, 'dashboard.ts'), source);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'es2022', '--moduleResolution', 'bundler'];
  const { status, stdout } = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), ...flags, join(directory, 'dashboard.ts')], { encoding: 'utf8' });
  process.stdout.write(stdout);
  process.exitCode = status ?? 1;
} finally {
  rmSync(directory, { recursive: true });
}
