# One Python client of the matrix: clients.py LIBRARY produce|consume BOOTSTRAP CODEC TOPIC COUNT
import sys

library, action, bootstrap, codec, topic, count = sys.argv[1:]
count = int(count)


def confluent_produce():
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True, "linger.ms": 20})
    errors = []
    for i in range(count):
        p.produce(topic, f"confluent {i} " + "x" * 50, key=f"k{i}", callback=lambda err, _: err and errors.append(err))
    p.flush(60)
    if errors:
        sys.exit(str(errors[0]))


def confluent_consume():
    from confluent_kafka import Consumer
    c = Consumer({"bootstrap.servers": bootstrap, "group.id": "confluent-" + codec, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.subscribe([topic])
    for _ in range(count):
        m = c.poll(60)
        if m is None or m.error():
            sys.exit(f"confluent: {m and m.error()}")
        print(m.value().decode())
    c.commit(asynchronous=False)
    c.close()


def kafkapython_produce():
    from kafka import KafkaProducer
    p = KafkaProducer(bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=20, acks="all")
    futures = [p.send(topic, f"kafkapython {i} {'x' * 50}".encode(), key=f"k{i}".encode()) for i in range(count)]
    for f in futures:
        f.get(60)
    p.close()


def kafkapython_consume():
    from kafka import KafkaConsumer
    c = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="kafkapython-" + codec, auto_offset_reset="earliest",
                      enable_auto_commit=False, consumer_timeout_ms=120000)
    for i, m in enumerate(c):
        print(m.value.decode())
        if i + 1 == count:
            break
    c.commit()
    c.close()


globals()[library + "_" + action]()
