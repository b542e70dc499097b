// Parses diagrams with Mermaid's own parser: reads a JSON array of texts from standard input, writes an array of the same
// length with null or the error. Mermaid sanitises labels with the DOM even when it only parses, so it gets jsdom's.
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

globalThis.window = new JSDOM('<!doctype html><body></body>').window;
globalThis.document = window.document;
const { default: mermaid } = await import('mermaid');
mermaid.initialize({ startOnLoad: false });

const results = [];
for (const text of JSON.parse(readFileSync(0, 'utf8'))) {
  try {
    await mermaid.parse(text);
    results.push(null);
  } catch (err) {
    results.push(String(err?.message ?? err));
  }
}
console.log(JSON.stringify(results));
