// npm `asteroid`: events for every data message; the documents are ours to keep.
import { createRequire } from "node:module";
import { obey, say, url } from "./harness.mjs";

const require = createRequire(import.meta.url);
const { createClass } = require("asteroid");
const Asteroid = createClass();
const client = new Asteroid({ endpoint: url, SocketConstructor: require("ws") });

const collections = {};
function show(collection) {
  say({ event: "view", collection, documents: collections[collection] });
}
client.ddp.on("added", ({ collection, id, fields }) => {
  (collections[collection] ??= {})[id] = fields;
  show(collection);
});
client.ddp.on("changed", ({ collection, id, fields, cleared }) => {
  Object.assign(collections[collection][id], fields);
  for (const name of cleared ?? []) delete collections[collection][id][name];
  show(collection);
});
client.ddp.on("removed", ({ collection, id }) => {
  delete collections[collection][id];
  show(collection);
});
client.on("connected", () =>
  obey({
    subscribe: (name, args) =>
      new Promise((resolve, reject) => {
        const subscription = client.subscribe(name, ...args);
        subscription.on("ready", resolve);
        subscription.on("error", reject);
      }),
    call: (name, args) => client.call(name, ...args),
  }),
);
