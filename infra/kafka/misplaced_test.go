package kafka_test

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestForeignPartitioners: what a producer with another partitioner writes is an
// event exactly where the device's partition is met by chance, and misplaced
// everywhere else; nothing is lost to who scans.
func TestForeignPartitioners(t *testing.T) { everywhere(t, foreignPartitioners) }

func foreignPartitioners(t *testing.T, cfg kafka.Config) {
	for name, partitioner := range map[string]sarama.PartitionerConstructor{
		"FNV, sarama's default": sarama.NewHashPartitioner, "CRC32, librdkafka's": sarama.NewConsistentCRCHashPartitioner,
	} {
		config := sarama.NewConfig()
		config.Version = sarama.MaxVersion
		config.Producer.Return.Successes = true
		config.Producer.Partitioner = partitioner
		foreign, err := sarama.NewSyncProducer(cfg.Brokers, config)
		if err != nil {
			t.Fatal(err)
		}
		wrote := map[string]int32{} // partition by id
		for i := range 60 {
			e := page(fmt.Sprint(name, i), i)
			e.Source = name
			value, err := proto.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			m := &sarama.ProducerMessage{Topic: cfg.Topic(schemas.TopicEvents), Key: sarama.StringEncoder(e.Device), Value: sarama.ByteEncoder(value)}
			if wrote[e.Id], _, err = foreign.SendMessage(m); err != nil {
				t.Fatal(err)
			}
		}
		foreign.Close()
		placed, misplaced := 0, 0
		next := make([]int64, partitions)
		err = kafka.Scan(t.Context(), cfg, partitions, func(r schemas.Record) error {
			if r.Offset != next[r.Partition] {
				t.Errorf("%s: partition %d: got offset %d, want %d", name, r.Partition, r.Offset, next[r.Partition])
			}
			next[r.Partition]++
			e := r.Event
			if r.Misplaced != nil {
				e = r.Misplaced
			}
			if e == nil || e.Source != name {
				return nil // of the other partitioner
			}
			right := wrote[e.Id] == schemas.Partition(e.Device, partitions)
			if right != (r.Event != nil) || r.Partition != wrote[e.Id] {
				t.Errorf("%s: %s in partition %d is misplaced: %t, want %t", name, e.Device, r.Partition, r.Misplaced != nil, !right)
			}
			if delete(wrote, e.Id); right {
				placed++
			} else {
				misplaced++
			}
			return nil
		})
		if err != nil || len(wrote) > 0 || placed == 0 || misplaced == 0 {
			t.Errorf("%s: %d in place, %d misplaced, not seen %v, %v: want some of both, and all", name, placed, misplaced, wrote, err)
		}
	}
}
