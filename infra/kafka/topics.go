package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// EnsureTopics creates the topics that are not there, with so many replicas, and
// checks those that are: an error names what stands in the way of the promise
// that no event is lost.
func EnsureTopics(ctx context.Context, cfg Config, topics []schemas.Topic, replicas int16) error {
	err := withClient(ctx, cfg, func(client sarama.Client) error {
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			if err := ensureTopic(admin, withReplicas(topic, replicas), replicas); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ensure topics: %w", err)
	}
	return nil
}

// inSync is the setting that says how many replicas an acknowledged event is on.
const inSync = "min.insync.replicas"

// withReplicas raises what acks=all waits for to all replicas but one: with
// three, one broker may be away and another may burn, and nothing is lost.
func withReplicas(topic schemas.Topic, replicas int16) schemas.Topic {
	if declared, ok := topic.Config[inSync]; ok && number(declared) < int64(replicas)-1 {
		topic.Config = maps.Clone(topic.Config)
		topic.Config[inSync] = strconv.Itoa(int(replicas) - 1)
	}
	return topic
}

// ensureTopic creates one topic or checks it.
func ensureTopic(admin sarama.ClusterAdmin, topic schemas.Topic, replicas int16) error {
	there, err := describeTopic(admin, topic.Name)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return createTopic(admin, topic, replicas)
	}
	if err != nil {
		return err
	}
	if got := len(there.Partitions); got != int(topic.Partitions) {
		return fmt.Errorf("topic %s has %d partitions, it should have %d: their number is fixed, "+
			"another one takes a new topic and a replay", topic.Name, got, topic.Partitions)
	}
	return checkSettings(admin, topic)
}

// createTopic makes a topic; another process may come first.
func createTopic(admin sarama.ClusterAdmin, topic schemas.Topic, replicas int16) error {
	settings := make(map[string]*string)
	for name, value := range topic.Config {
		settings[name] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: topic.Partitions, ReplicationFactor: replicas, ConfigEntries: settings}
	err := admin.CreateTopic(topic.Name, detail, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", topic.Name, err)
	}
	return nil
}

// describeTopic asks what the brokers know of a topic.
func describeTopic(admin sarama.ClusterAdmin, name string) (*sarama.TopicMetadata, error) {
	topics, err := admin.DescribeTopics([]string{name})
	switch {
	case err != nil:
		return nil, fmt.Errorf("describe topic %s: %w", name, err)
	case len(topics) != 1:
		return nil, fmt.Errorf("describe topic %s: the broker tells of %d topics", name, len(topics))
	case topics[0].Err != sarama.ErrNoError:
		return nil, fmt.Errorf("describe topic %s: %w", name, topics[0].Err)
	}
	return topics[0], nil
}

// checkSettings compares the settings of a topic with the declared ones, as far
// as the broker tells them.
func checkSettings(admin sarama.ClusterAdmin, topic schemas.Topic) error {
	entries, err := admin.DescribeConfig(sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic.Name, ConfigNames: slices.Collect(maps.Keys(topic.Config)),
	})
	if err != nil {
		return fmt.Errorf("describe settings of topic %s: %w", topic.Name, err)
	}
	var errs []error
	for _, entry := range entries {
		want, declared := topic.Config[entry.Name]
		if declared && !suffices(entry.Name, entry.Value, want) {
			errs = append(errs, fmt.Errorf("topic %s has %s=%s, it should be %s",
				topic.Name, entry.Name, entry.Value, want))
		}
	}
	return errors.Join(errs...)
}

// suffices compares a setting: to keep longer and to be on more replicas is right too.
func suffices(name, got, want string) bool {
	switch name {
	case "retention.ms", "retention.bytes", inSync:
		return number(got) >= number(want)
	}
	return got == want
}

// number reads a setting; -1 is without limit, what is no number is nothing.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	if n < 0 {
		return 1<<63 - 1
	}
	return n
}

// TopicID is the brokers' own id of a topic: a topic that was deleted and made
// again has another.
func TopicID(ctx context.Context, cfg Config, topic string) (id string, err error) {
	err = withClient(ctx, cfg, func(client sarama.Client) error {
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			return err
		}
		there, err := describeTopic(admin, topic)
		if err != nil {
			return err
		}
		id = there.Uuid.String()
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("ask id of topic %s: %w", topic, err)
	}
	return id, nil
}
