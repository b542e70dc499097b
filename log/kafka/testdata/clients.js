// kafkajs of the client matrix: node clients.js BOOTSTRAP ACTION TOPIC …, run with NODE_PATH set to the modules' directory. The
// actions and what they print are those of clients-go/main.go.
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require("kafkajs");
const snappy = require("kafkajs-snappy");
const lz4 = require("lz4-napi");
const zstd = require("@bokuweb/zstd-wasm");

const [bootstrap, action, topic, ...args] = process.argv.slice(2);
const count = Number(args[args.length - 1]);
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD };
// Without kafkajs's own words a failure has no reason; at level ERROR it also reports what it asks again.
const kafka = new Kafka({ clientId: "matrix", brokers: [bootstrap], connectionTimeout: 30000, logLevel: logLevel.NOTHING });

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
});

function message(i) {
  return { key: `k${i}`, value: i % 10 === 0 ? null : `kafkajs ${i} ${"x".repeat(50)}`, headers: { client: "kafkajs" } };
}

function consumed(m) {
  const headers = Object.fromEntries(Object.entries(m.headers || {}).map(([k, v]) => [k, String(v)]));
  return { key: m.key === null ? "" : String(m.key), value: m.value === null ? null : String(m.value), headers };
}

async function admin() {
  const a = kafka.admin();
  await a.connect();
  const wanted = { topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: "retention.ms", value: "60000" }] }] };
  await a.createTopics(wanted);
  const again = (await a.createTopics(wanted)) === false; // its word for TOPIC_ALREADY_EXISTS
  const metadata = await a.fetchTopicMetadata({ topics: [topic] });
  const settings = await a.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ["retention.ms"] }] });
  await a.deleteTopics({ topics: [topic] });
  const left = await a.listTopics();
  await a.disconnect();
  return { partitions: metadata.topics[0].partitions.length, retention: settings.resources[0].configEntries[0].configValue, again, deleted: !left.includes(topic) };
}

async function produce() {
  const p = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await p.connect();
  for (const [name, compression] of Object.entries(codecs)) {
    await p.send({ topic: topic + name, compression, messages: [...Array(count).keys()].map(message) });
  }
  await p.disconnect();
  return Object.keys(codecs);
}

// read takes n records as a member of a group and commits behind the last of them.
async function read(topic, groupId, n) {
  const c = kafka.consumer({ groupId });
  await c.connect();
  await c.subscribe({ topics: [topic], fromBeginning: true });
  const got = [];
  await new Promise((resolve, reject) => {
    c.on(c.events.CRASH, (e) => reject(e.payload.error));
    c.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (got.length === n) return;
        got.push(consumed(message));
        if (got.length === n) {
          await c.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
          resolve();
        }
      },
    }).catch(reject);
  });
  await c.disconnect();
  return got;
}

async function consume() {
  const all = {};
  for (const name of Object.keys(codecs)) all[name] = await read(topic + name, `kafkajs-${topic}${name}`, count);
  return all;
}

async function transaction() {
  const p = kafka.producer({ transactionalId: "kafkajs", maxInFlightRequests: 1, idempotent: true });
  await p.connect();
  for (let i = 0; i < 6; i++) {
    const txn = await p.transaction();
    await txn.send({ topic, messages: [...Array(5).keys()].map((j) => ({ value: `${i}-${j}` })) });
    await txn.sendOffsets({ consumerGroupId: args[0], topics: [{ topic, partitions: [{ partition: 0, offset: String(i + 1) }] }] });
    await (i % 2 === 0 ? txn.commit() : txn.abort());
  }
  await p.disconnect();
  return read(topic, "kafkajs-committed", 15);
}

const actions = { admin, produce, consume, group: () => read(topic, args[0], count), transaction };

zstd.init().then(() => actions[action]()).then(
  (out) => console.log(JSON.stringify(out)),
  (err) => {
    console.error(err);
    process.exitCode = 1;
  },
);
