package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// EnsureTopics creates the topics that are not there, with so many replicas, and
// checks those that are: an error names everything that stands in the way of the
// promise that no event is lost. It waits for brokers as long as the
// configuration says, and no longer.
func EnsureTopics(ctx context.Context, cfg Config, topics []schemas.Topic, replicas int16) error {
	err := withAdmin(ctx, cfg, func(ctx context.Context, admin sarama.ClusterAdmin) error {
		var errs []error
		for _, topic := range topics {
			topic.Name = cfg.Topic(topic.Name)
			err := ensureTopic(ctx, admin, withReplicas(topic, replicas), replicas)
			if err != nil && unconnected(err) {
				return err
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
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
func ensureTopic(ctx context.Context, admin sarama.ClusterAdmin, topic schemas.Topic, replicas int16) error {
	there, err := describeTopic(admin, topic.Name)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		if err := createTopic(admin, topic, replicas); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return err
		}
		there, err = awaitTopic(ctx, admin, topic.Name)
	}
	if err != nil {
		return err
	}
	settings, err := describeSettings(admin, topic)
	if err != nil {
		return err
	}
	if err := raise(admin, topic, settings); err != nil {
		return err
	}
	return errors.Join(checkShape(topic, there, replicas), checkSettings(topic, settings))
}

// createTopic makes a topic; another process may come first.
func createTopic(admin sarama.ClusterAdmin, topic schemas.Topic, replicas int16) error {
	settings := make(map[string]*string)
	for name, value := range topic.Config {
		settings[name] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: topic.Partitions, ReplicationFactor: replicas, ConfigEntries: settings}
	err := admin.CreateTopic(topic.Name, detail, false)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return fmt.Errorf("create topic %s: kafka-replicas is %d, and there are fewer brokers (%w)", topic.Name, replicas, err)
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("create topic %s: the user of kafka-sasl-user may not: let it, or create the topic for it (%w)",
			topic.Name, err)
	}
	return fmt.Errorf("create topic %s: %w", topic.Name, err)
}

// awaitTopic waits until the brokers have heard of a topic, which was made just
// now by this process or another one: they answer that it is there before they
// all know it.
func awaitTopic(ctx context.Context, admin sarama.ClusterAdmin, name string) (*sarama.TopicMetadata, error) {
	for {
		there, err := describeTopic(admin, name)
		if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return there, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for topic %s, which was made just now: %w", name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkShape compares the partitions of a topic and their replicas with what
// they should be. More replicas are right too.
func checkShape(topic schemas.Topic, there *sarama.TopicMetadata, replicas int16) error {
	var errs []error
	if got := len(there.Partitions); got != int(topic.Partitions) {
		errs = append(errs, fmt.Errorf("topic %s has %d partitions, it should have %d: their number is fixed, "+
			"another one takes a new topic and a replay", topic.Name, got, topic.Partitions))
	}
	fewest := replicas
	for _, p := range there.Partitions {
		fewest = min(fewest, int16(len(p.Replicas)))
	}
	if fewest < replicas {
		errs = append(errs, fmt.Errorf("topic %s has %d replicas, it should have %d as kafka-replicas says: "+
			"reassign its partitions, or set kafka-replicas to %d", topic.Name, fewest, replicas, fewest))
	}
	return errors.Join(errs...)
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

// describeSettings asks for the declared settings of a topic, as far as the
// broker tells them; what the topic has not got of its own is the broker's.
func describeSettings(admin sarama.ClusterAdmin, topic schemas.Topic) (map[string]string, error) {
	entries, err := admin.DescribeConfig(sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic.Name, ConfigNames: slices.Sorted(maps.Keys(topic.Config)),
	})
	if err != nil {
		return nil, fmt.Errorf("describe settings of topic %s: %w", topic.Name, err)
	}
	settings := make(map[string]string)
	for _, entry := range entries {
		if _, declared := topic.Config[entry.Name]; declared {
			settings[entry.Name] = entry.Value
		}
	}
	return settings, nil
}

// raise brings what an earlier release declared to what is declared now. Other
// values are somebody's decision, for him to change.
func raise(admin sarama.ClusterAdmin, topic schemas.Topic, settings map[string]string) error {
	changes := make(map[string]sarama.IncrementalAlterConfigsEntry)
	for name, was := range topic.Was {
		if want := topic.Config[name]; settings[name] == was && was != want {
			changes[name] = sarama.IncrementalAlterConfigsEntry{
				Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &want,
			}
			settings[name] = want
		}
	}
	if len(changes) == 0 {
		return nil
	}
	if err := admin.IncrementalAlterConfig(sarama.TopicResource, topic.Name, changes, false); err != nil {
		return fmt.Errorf("raise settings of topic %s from what an earlier release declared: %w", topic.Name, err)
	}
	return nil
}

// checkSettings compares the settings of a topic with the declared ones, and
// says for each that differs what would be right.
func checkSettings(topic schemas.Topic, settings map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if want := topic.Config[name]; !suffices(name, settings[name], want) {
			errs = append(errs, fmt.Errorf("topic %s has %s=%s, it should be %s%s",
				topic.Name, name, settings[name], want, orMore(name)))
		}
	}
	return errors.Join(errs...)
}

// least are the settings that may be more than declared: to keep longer, to be
// on more replicas, to take larger batches.
var least = []string{"retention.ms", "retention.bytes", "max.message.bytes", inSync}

// orMore says so where it is so.
func orMore(name string) string {
	if slices.Contains(least, name) {
		return " or more"
	}
	return ""
}

// suffices compares a setting.
func suffices(name, got, want string) bool {
	if slices.Contains(least, name) {
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
	topic = cfg.Topic(topic)
	err = withAdmin(ctx, cfg, func(_ context.Context, admin sarama.ClusterAdmin) error {
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

// ExpectTopic is an error that names the topics which may have been meant, if a
// topic is not there. It makes none.
func ExpectTopic(ctx context.Context, cfg Config, topic string) error {
	name := cfg.Topic(topic)
	return withAdmin(ctx, cfg, func(_ context.Context, admin sarama.ClusterAdmin) error {
		_, err := describeTopic(admin, name)
		if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return err
		}
		others, err := likeTopic(admin, topic)
		if err != nil {
			return err
		}
		if len(others) == 0 {
			return fmt.Errorf("there is no topic %s, nor one of another portal: the collector makes it, fernweh ingest", name)
		}
		return fmt.Errorf("there is no topic %s; there is %s", name, strings.Join(others, ", "))
	})
}

// likeTopic gives the topics of that kind that portals of any prefix have, a few.
func likeTopic(admin sarama.ClusterAdmin, topic string) (names []string, err error) {
	topics, err := admin.ListTopics()
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	_, kind, _ := strings.Cut(topic, ".")
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		const most = 10
		if strings.HasSuffix(name, "."+kind) && len(names) < most {
			names = append(names, name)
		}
	}
	return names, nil
}
