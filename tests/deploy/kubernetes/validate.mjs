// node validate.mjs: checks the manifests on standard input, a JSON list, against the schemas that Kubernetes and the
// Prometheus Operator publish: tsc refuses what they do not know, the schemas what has the wrong form. Prints what is wrong.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const manifests = JSON.parse(readFileSync(0, 'utf8'));

function packageOf({ apiVersion }) {
  return apiVersion.startsWith('monitoring.coreos.com/') ? `@kubernetes-models/prometheus-operator/${apiVersion}` : `kubernetes-models/${apiVersion}`;
}

const source = manifests.map((manifest, index) => `
import type { I${manifest.kind} as Kind${index} } from '${packageOf(manifest)}';
export const manifest${index}: Kind${index} = ${JSON.stringify(manifest)};`).join('');
const directory = mkdtempSync(join(here, '.types-'));
try {
  writeFileSync(join(directory, 'manifests.ts'), source);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'es2022', '--moduleResolution', 'bundler'];
  const { status, stdout } = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), ...flags, join(directory, 'manifests.ts')], { encoding: 'utf8' });
  process.stdout.write(stdout);
  process.exitCode = status ?? 1;
} finally {
  rmSync(directory, { recursive: true });
}
for (const manifest of manifests) {
  const { [manifest.kind]: Kind } = await import(packageOf(manifest));
  try {
    new Kind(manifest).validate();
  } catch (error) {
    console.log(`${manifest.kind}: ${error.message}`);
    process.exitCode = 1;
  }
}
