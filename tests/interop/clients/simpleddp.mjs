// npm `simpleddp`, over `ws` or, with "sockjs" as second argument, over `sockjs-client`.
import { createRequire } from "node:module";
import { obey, say, url } from "./harness.mjs";

const require = createRequire(import.meta.url);
const SimpleDDP = require("simpleddp");
const sockjs = process.argv[3] === "sockjs";
const endpoint = sockjs ? url.replace(/^ws/, "http").replace("/websocket", "/sockjs") : url;

const client = new SimpleDDP({
  endpoint,
  SocketConstructor: sockjs ? require("sockjs-client") : require("ws"),
  reconnectInterval: 5000,
});
process.on("unhandledRejection", () => {}); // its own, on every `nosub`
await client.connect();
for (const type of ["added", "changed", "removed"]) {
  client.on(type, ({ collection }) => {
    const documents = {};
    for (const { id, _id, ...fields } of client.collection(collection).fetch()) documents[id ?? _id] = fields;
    say({ event: "view", collection, documents });
  });
}
obey({
  subscribe: (name, args) => client.subscribe(name, ...args).ready(),
  call: (name, args) => client.call(name, ...args),
});
