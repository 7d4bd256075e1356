// npm `ddp`: callbacks, its own collections object.
const DDPClient = require("ddp");

import("./harness.mjs").then(({ url, say, obey }) => {
  const useSockJs = process.argv[3] === "sockjs";
  const address = new URL(url);
  const client = new DDPClient(
    useSockJs ? { host: address.hostname, port: Number(address.port), useSockJs } : { url },
  );
  client.on("message", (text) => {
    const { collection } = JSON.parse(text);
    if (collection) {
      const documents = {};
      for (const [id, { _id, ...fields }] of Object.entries(client.collections[collection] ?? {})) documents[id] = fields;
      say({ event: "view", collection, documents });
    }
  });
  client.connect((error) => {
    if (error) throw error;
    const promised = (method) => (name, args) =>
      new Promise((resolve, reject) => {
        client[method](name, args, (problem, value) => (problem ? reject(problem) : resolve(value)));
      });
    obey({ subscribe: promised("subscribe"), call: promised("call") });
  });
});
