// node run.mjs PYODIDE SITE_PACKAGES CHECKOUT [pytest's arguments]
import { pathToFileURL } from "node:url";

const [pyodide, packages, checkout, ...options] = process.argv.slice(2);
const { loadPyodide, version } = await import(pathToFileURL(pyodide));

const env = { PYTHONDONTWRITEBYTECODE: "1" };
for (const [name, value] of Object.entries(process.env)) {
    if (name.startsWith("SSE_")) {
        env[name] = value;
    }
}
const python = await loadPyodide({ args: ["-bb"], env });
for (const [mount, folder] of [["/packages", packages], ["/checkout", checkout]]) {
    python.FS.mkdirTree(mount);
    python.mountNodeFS(mount, folder);
}
console.log(`pyodide ${version} on Node.js ${process.versions.node}`);
process.exitCode = python.runPython(`
    import sys
    sys.path[:0] = ["/checkout/tools/wasm", "/packages"]
    import inside
    inside.main(${JSON.stringify(options)})
`);
