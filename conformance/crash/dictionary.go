package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
)

// phrase is what values begin with where dictionaries are in use: with one it shrinks, without it does not.
var phrase = func() string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(0, 0))
	for b.Len() < 96 {
		b.WriteByte(byte('!' + r.IntN(90)))
	}
	return b.String()
}()

// dictionaries were trained already, by topic and number: it takes longer than a small workload.
var dictionaries sync.Map

// dictionary returns the n-th dictionary of a topic.
func dictionary(topic string, n int) ([]byte, error) {
	name := fmt.Sprintf("%s, dictionary %d", topic, n)
	if d, ok := dictionaries.Load(name); ok {
		return d.([]byte), nil //nolint:forcetypeassert // nothing else is stored
	}
	var samples [][]byte
	for i := range 40 {
		samples = append(samples, fmt.Appendf(nil, "%s%s%d", name, phrase, i))
	}
	d, err := codec.Train(samples, codec.MinDictionary)
	if err == nil {
		dictionaries.Store(name, d)
	}
	return d, err
}

// setDictionaries sets a dictionary of each topic, another one in each round, while the producers work.
func (w *workload) setDictionaries(m *wal.Manager, round int) {
	topics := []string{"shared"}
	for i := range w.plan.producers {
		topics = append(topics, fmt.Sprintf("own-%d", i))
	}
	for _, topic := range topics {
		d, err := dictionary(topic, round)
		if err == nil {
			_, err = m.SetDictionary(ctx, topic, d)
		}
		if err != nil && (w.faulty == nil || errors.Is(err, wal.ErrInvalid)) {
			w.report(violation(Recovers, "set a dictionary: %v", err))
			return
		}
	}
}
