package wal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chronik-go/wal/core/format"
)

// CheckPartition tells whether Manager.Partition would accept a topic's name and a
// partition's number: for who wants to know before there is a log. Its error wraps
// ErrInvalid. A log that holds a partition with another name stays usable.
func CheckPartition(topic string, partition int32) error {
	if problem := topicProblem(topic); problem != "" {
		return fmt.Errorf("%w topic name %q: %s", ErrInvalid, topic, problem)
	}
	if partition < 0 {
		return fmt.Errorf("%w partition %d: it is negative", ErrInvalid, partition)
	}
	return nil
}

// topicProblem says what is wrong with a topic's name, "" if nothing is. Tools make names of
// directories of topics, and print them on lines.
func topicProblem(topic string) string {
	switch {
	case topic == "":
		return "it is empty"
	case topic == "." || topic == "..":
		return "a directory for the topic could not have that name"
	case len(topic) > format.MaxTopic:
		return fmt.Sprintf("it has %d bytes, the limit is %d", len(topic), format.MaxTopic)
	case !utf8.ValidString(topic):
		return "it is not UTF-8"
	}
	if i := strings.IndexAny(topic, "/\\"); i >= 0 {
		return fmt.Sprintf("it holds the separator %c", topic[i])
	}
	if strings.ContainsRune(topic, 0) {
		return "it holds a NUL"
	}
	if i := strings.IndexFunc(topic, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(topic[i:])
		return fmt.Sprintf("it holds the control character %U", r)
	}
	return ""
}
