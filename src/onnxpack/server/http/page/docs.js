// The reference of the API, from /openapi.json.

import { askJson, copy, example, keyed, make, onKey, toJson, withKey } from "./page.js";

const METHODS = ["get", "put", "post", "delete", "patch", "head", "options"];
const INLINE = 64; // numbers that a curl line carries; more come from a file
const DEPTH = 12;
const LINE = 44;

async function load() {
  const [api, { models }] = await Promise.all([askJson("openapi.json"), askJson("v2/models")]);
  document.getElementById("server").textContent = `version ${api.info.version}`;
  const paths = Object.entries(api.paths);
  document.getElementById("paths").replaceChildren(...paths.map(([path, item]) => section(api, path, item, models[0])));
  document.getElementById("contents").replaceChildren(make("ul", "", ...paths.map(([path]) => make("li", "", link(path)))));
}

const anchor = (path) => path.replace(/[{}]/g, "").replace(/^\//, "").replaceAll("/", "-");

function link(path) {
  const found = make("a", "", path);
  found.href = `docs#${anchor(path)}`;
  return found;
}

function section(api, path, item, model) {
  const found = make("section", "card");
  found.id = anchor(path);
  found.append(...METHODS.filter((method) => method in item).map((method) =>
    operation(api, path, method, { ...item[method], parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])] }, model)));
  return found;
}

function operation(api, path, method, described, model) {
  const parameters = described.parameters.map((each) => resolve(api, each));
  const bodies = Object.entries(resolve(api, described.requestBody ?? {}).content ?? {});
  const found = make("article", "",
    make("h2", "", make("span", `method ${method}`, method.toUpperCase()), " ", make("code", "path", path)),
    make("p", "", described.summary ?? ""));
  if (described.description) found.append(make("p", "quiet", described.description));
  if (parameters.length) found.append(make("h3", "", "Parameters"), parameterTable(api, parameters));
  if (bodies.length) found.append(make("h3", "", "Body"), bodyTable(api, bodies));
  found.append(make("h3", "", "Answers"), answerTable(api, described.responses ?? {}), make("h3", "", "curl"));
  for (const line of curls(path, method, parameters, bodies, model)) found.append(curlLine(line));
  return found;
}

// ---- tables -----------------------------------------------------------------------------------

function table(name, head, rows) {
  const row = (kind, cells) => make("tr", "", ...cells.map((cell) => make(kind, "", cell)));
  return make("div", "scroll", make("table", name,
    make("thead", "", row("th", head)), make("tbody", "", ...rows.map((cells) => row("td", cells)))));
}

function parameterTable(api, parameters) {
  return table("parameters", ["Name", "In", "Type", "Meaning"], parameters.map((each) => [
    make("code", "", each.name), each.in, make("code", "", typeText(api, each.schema ?? {})),
    [each.required ? "required" : "optional", each.description].filter(Boolean).join(". ")]));
}

function bodyTable(api, bodies) {
  return table("bodies", ["Media type", "Content"], bodies.map(([media, { schema }]) => [
    make("code", "", media), make("pre", "", typeText(api, schema ?? {}))]));
}

/** One row for all the statuses that answer alike. */
function answerTable(api, responses) {
  const rows = new Map();
  for (const [status, given] of Object.entries(responses)) {
    const { description = "", content = {} } = resolve(api, given);
    const bodies = Object.entries(content).map(([media, { schema }]) => `${media}\n${typeText(api, schema ?? {})}`);
    const alike = JSON.stringify([description, bodies]);
    rows.set(alike, { statuses: [...(rows.get(alike)?.statuses ?? []), status], description, bodies });
  }
  return table("answers", ["Status", "Meaning", "Body"], [...rows.values()].map(({ statuses, description, bodies }) => [
    statuses.join(", "), description, make("pre", "", bodies.join("\n\n"))]));
}

function resolve(api, given) {
  if (!given.$ref) return given;
  return given.$ref.replace(/^#\//, "").split("/").reduce((inner, part) => inner?.[part], api) ?? {};
}

/** A schema as one would write it down: `{ name: string, shape?: [integer] }`. */
function typeText(api, given, indent = "") {
  const schema = resolve(api, given);
  const deeper = `${indent}  `;
  const choices = schema.anyOf ?? schema.oneOf;
  if (indent.length > DEPTH) return "…";
  if (choices) return choices.map((each) => typeText(api, each, indent)).join(" | ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.properties) {
    const parts = Object.entries(schema.properties).map(([name, each]) =>
      `${name}${schema.required?.includes(name) ? "" : "?"}: ${typeText(api, each, deeper)}`);
    const line = `{ ${parts.join(", ")} }`;
    if (line.length <= LINE && !line.includes("\n")) return line;
    return `{\n${parts.map((part) => deeper + part).join(",\n")}\n${indent}}`;
  }
  if (schema.type === "array" && schema.items) return `[${typeText(api, schema.items, indent)}]`;
  const named = schema.format ?? [schema.type ?? "any"].flat().join(" | ");
  const { minimum, maximum } = schema;
  if (minimum === undefined) return named;
  return maximum === undefined ? `${named} ≥ ${minimum}` : `${named} ${minimum} to ${maximum}`;
}

// ---- curl -------------------------------------------------------------------------------------

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function curls(path, method, parameters, bodies, model) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    const known = { model: model?.name, version: model?.version }[name];
    return encodeURIComponent(known ?? parameters.find((each) => each.name === name)?.schema?.enum?.[0] ?? name.toUpperCase());
  });
  const words = ["curl"];
  if (method !== "get" && method !== "post") words.push("-X", method.toUpperCase());
  words.push(quote(new URL(filled.slice(1), document.baseURI).href));
  const secret = keyed() ? ['-H "Authorization: Bearer $KEY"'] : [];
  if (!bodies.length) return [[...words, ...secret].join(" ")];
  return bodies.map(([media]) => [...words, ...secret, "-H", quote(`Content-Type: ${media}`), ...data(path, media, parameters, model)].join(" "));
}

function data(path, media, parameters, model) {
  if (media.startsWith("image/")) return ["--data-binary", `@picture.${media.slice(6)}`];
  if (media === "application/x-npy") return ["--data-binary", "@input.npy"];
  if (media !== "application/json") {
    const headers = parameters.filter((each) => each.in === "header");
    return [...headers.flatMap((each) => ["-H", quote(`${each.name}: N`)]), "--data-binary", "@body.bin"];
  }
  const inputs = model ? example(model) : [];
  const few = inputs.length && inputs.reduce((total, each) => total + each.total, 0) <= INLINE;
  if (!few || inputs.some(({ dtype }) => /float16/.test(dtype))) return ["-d", "@body.json"];
  return ["-d", quote(path.endsWith("/infer") ? inferJson(inputs) : JSON.stringify(JSON.parse(toJson(inputs))))];
}

const DATATYPES = { bool: "BOOL", str: "BYTES", float32: "FP32", float64: "FP64" };

function inferJson(inputs) {
  return JSON.stringify({
    inputs: inputs.map((each) => ({
      name: each.name,
      shape: each.shape,
      datatype: DATATYPES[each.dtype] ?? each.dtype.toUpperCase(),
      data: [JSON.parse(toJson([each]))].flat(Infinity),
    })),
  });
}

function curlLine(line) {
  const text = make("code", "", line);
  const button = make("button", "", "Copy");
  button.type = "button";
  button.onclick = () => copy(button, line, text);
  return make("div", "curl", make("pre", "", text), button);
}

const start = () => withKey(load);
onKey(start);
await start();
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
