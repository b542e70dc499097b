import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

// WordCount BROKERS APPLICATION STATE-DIR GROUP-PROTOCOL counts the words of topic lines into topic counts: every word that
// comes makes one record (word, its count so far as 8 bytes). It prints "STATE name" for each state of the client, goes on until it is
// killed, and ends with 1 when a thread has failed.
public class WordCount {
  public static void main(String[] args) throws Exception {
    Properties p = new Properties();
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    p.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
    p.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, args[3]);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "2");
    if (args[3].equals("classic")) {
      p.put(StreamsConfig.NUM_STANDBY_REPLICAS_CONFIG, "1");
      p.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "6000"); // what Kafka allows at least
    }
    p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0"); // a cache would leave counts out
    p.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    StreamsBuilder b = new StreamsBuilder();
    b.<String, String>stream("lines", Consumed.with(Serdes.String(), Serdes.String()))
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
        .count(Materialized.as("words"))
        .toStream()
        .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
    KafkaStreams streams = new KafkaStreams(b.build(), p);
    boolean[] failed = new boolean[1];
    streams.setUncaughtExceptionHandler(e -> {
      failed[0] = true;
      e.printStackTrace();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.setStateListener((now, before) -> {
      System.out.println("STATE " + now);
      if (failed[0] && now == KafkaStreams.State.ERROR) {
        Runtime.getRuntime().halt(1);
      }
    });
    streams.start();
    Thread.sleep(Duration.ofHours(1).toMillis());
  }
}
