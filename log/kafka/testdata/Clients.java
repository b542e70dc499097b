import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's own clients of the client matrix: java -cp JARS:CLASSES Clients NAME BOOTSTRAP ACTION TOPIC …, of any version from 3.9.
 * The actions and what they print are those of clients-go/main.go.
 */
public class Clients {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};

    final String name;
    final String bootstrap;

    Clients(String name, String bootstrap) {
        this.name = name;
        this.bootstrap = bootstrap;
    }

    public static void main(String[] args) throws Exception {
        Clients c = new Clients(args[0], args[1]);
        String topic = args[3];
        String last = args[args.length - 1];
        Object out;
        switch (args[2]) {
            case "admin": out = c.admin(topic); break;
            case "produce": out = c.produce(topic, Integer.parseInt(last)); break;
            case "consume": out = c.consume(topic, Integer.parseInt(last)); break;
            case "group": out = c.group(topic, args[4], Integer.parseInt(last)); break;
            case "transaction": out = c.transaction(topic, args[4]); break;
            default: throw new IllegalArgumentException("no action " + args[2]);
        }
        System.out.println(new ObjectMapper().writeValueAsString(out));
    }

    Map<String, Object> config(Object... more) {
        Map<String, Object> out = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < more.length; i += 2) {
            out.put((String) more[i], more[i + 1]);
        }
        return out;
    }

    Object admin(String topic) throws Exception {
        try (Admin admin = Admin.create(config())) {
            NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "60000"));
            admin.createTopics(List.of(wanted)).all().get();
            boolean again = false;
            try {
                admin.createTopics(List.of(wanted)).all().get();
            } catch (ExecutionException e) {
                again = e.getCause() instanceof TopicExistsException;
            }
            int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            String retention = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
            admin.deleteTopics(List.of(topic)).all().get();
            boolean deleted = !admin.listTopics().names().get().contains(topic);
            return Map.of("partitions", partitions, "retention", retention, "again", again, "deleted", deleted);
        }
    }

    Object produce(String prefix, int count) throws Exception {
        for (String codec : CODECS) {
            Map<String, Object> config = config("compression.type", codec, "enable.idempotence", true, "linger.ms", 20);
            try (KafkaProducer<String, String> p = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
                List<Future<?>> sent = new ArrayList<>();
                for (int i = 0; i < count; i++) {
                    String value = i % 10 == 0 ? null : name + " " + i + " " + "x".repeat(50);
                    ProducerRecord<String, String> r = new ProducerRecord<>(prefix + codec, "k" + i, value);
                    r.headers().add("client", name.getBytes(StandardCharsets.UTF_8));
                    sent.add(p.send(r));
                }
                for (Future<?> f : sent) {
                    f.get();
                }
            }
        }
        return CODECS;
    }

    KafkaConsumer<String, String> consumer(Object... more) {
        Map<String, Object> config = config("auto.offset.reset", "earliest", "enable.auto.commit", false, "isolation.level", "read_committed");
        config.putAll(config(more));
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    /** The next count records, and the offset behind the last of them. */
    List<Object> take(KafkaConsumer<String, String> c, int count, Map<TopicPartition, OffsetAndMetadata> behind) {
        List<Object> got = new ArrayList<>();
        long deadline = System.nanoTime() + 120_000_000_000L;
        while (got.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(got.size() + " of " + count + " records came");
            }
            for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) {
                if (got.size() == count) {
                    break;
                }
                Map<String, String> headers = new HashMap<>();
                r.headers().forEach(h -> headers.put(h.key(), new String(h.value(), StandardCharsets.UTF_8)));
                Map<String, Object> m = new HashMap<>();
                m.put("key", r.key() == null ? "" : r.key());
                m.put("value", r.value());
                m.put("headers", headers);
                got.add(m);
                behind.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
            }
        }
        return got;
    }

    Object consume(String prefix, int count) {
        Map<String, Object> all = new HashMap<>();
        for (String codec : CODECS) {
            all.put(codec, alone(prefix + codec, count));
        }
        return all;
    }

    Object alone(String topic, int count) {
        try (KafkaConsumer<String, String> c = consumer()) {
            TopicPartition p = new TopicPartition(topic, 0);
            c.assign(List.of(p));
            c.seekToBeginning(List.of(p));
            return take(c, count, new HashMap<>());
        }
    }

    Object group(String topic, String group, int count) {
        try (KafkaConsumer<String, String> c = consumer("group.id", group)) {
            c.subscribe(List.of(topic));
            Map<TopicPartition, OffsetAndMetadata> behind = new HashMap<>();
            List<Object> got = take(c, count, behind);
            c.commitSync(behind);
            return got;
        }
    }

    Object transaction(String topic, String group) {
        Map<String, Object> config = config("transactional.id", name);
        try (KafkaProducer<String, String> p = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            p.initTransactions();
            for (int i = 0; i < 6; i++) {
                p.beginTransaction();
                for (int j = 0; j < 5; j++) {
                    p.send(new ProducerRecord<>(topic, i + "-" + j));
                }
                p.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(i + 1)), new ConsumerGroupMetadata(group));
                if (i % 2 == 0) {
                    p.commitTransaction();
                } else {
                    p.abortTransaction();
                }
            }
        }
        return alone(topic, 15);
    }
}
