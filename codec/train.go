package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/format"
)

const (
	// MinDictionary is the smallest size to train a dictionary for, bytes.
	MinDictionary = 4 << 10
	// DefaultDictionary is the size that TrainDictionary takes if none is given, bytes.
	DefaultDictionary = 32 << 10

	minSamples     = 16       // below, there is nothing in common to be found
	defaultSamples = 4000     // records
	mostSamples    = 1 << 20  // records
	mostRead       = 64 << 20 // bytes of records, however many are asked for
	mostSample     = 64 << 10 // bytes of one: what comes behind would crowd out others
	mostStudied    = 2000     // samples that the tables are made of
	tables         = 1 << 10  // room that they take in a dictionary, bytes
)

// Train makes a Zstandard dictionary of at most size bytes, MinDictionary to wal.MaxDictionary, out of
// samples of what it is to compress: batches as they are encoded, oldest first. It keeps none of them.
// The error wraps wal.ErrInvalid: there are less than 16 samples, they have no more than size bytes together,
// so that all of them would stand in the dictionary, or they have nothing in common.
func Train(samples [][]byte, size int) ([]byte, error) {
	if size < MinDictionary || size > wal.MaxDictionary {
		return nil, fmt.Errorf("%w size of a dictionary, %d bytes: from %d to %d", wal.ErrInvalid, size, MinDictionary, wal.MaxDictionary)
	}
	if len(samples) < minSamples {
		return nil, fmt.Errorf("%w: %d samples are too few to train a dictionary with (at least %d)", wal.ErrInvalid, len(samples), minSamples)
	}
	history := gather(samples, size-tables)
	built, err := zstd.BuildDict(zstd.BuildDictOptions{
		ID: privateIDs, Contents: spread(samples, mostStudied), History: history,
		Offsets: [3]int{1, 4, 8}, Level: zstd.SpeedFastest,
	})
	if err == nil && len(built) > size {
		err = fmt.Errorf("it has %d bytes", len(built))
	}
	if err == nil {
		err = SetDictionaryID(built)
	}
	if err != nil {
		return nil, untrained(samples, size, err)
	}
	return built, nil
}

// untrained says why no dictionary was made of samples. Most often all of them stand in what it would
// have them compressed with, and nothing is left to make its tables of.
func untrained(samples [][]byte, size int, cause error) error {
	total := 0
	for _, s := range samples {
		total += min(len(s), mostSample)
	}
	if total > size {
		return fmt.Errorf("%w: no dictionary can be made of these samples: %w", wal.ErrInvalid, cause)
	}
	enough := fmt.Sprintf("more than %d", size)
	if size > MinDictionary {
		enough += fmt.Sprintf(", or more than %d and a smaller size", MinDictionary)
	}
	return fmt.Errorf("%w: the samples have %d bytes together, too few for a dictionary of up to %d: take %s", wal.ErrInvalid, total, size, enough)
}

// gather puts together samples from all over the list, as many as have room, the newest last: what is
// nearest is found at the least cost.
func gather(samples [][]byte, room int) []byte {
	total := 0
	for _, s := range samples {
		total += min(len(s), mostSample)
	}
	b := make([]byte, 0, room)
	taken, seen := 0, 0
	for _, s := range samples {
		s = s[:min(len(s), mostSample)]
		seen += len(s)
		// In step with how much of all samples has been seen.
		if taken*total <= seen*room-len(s)*room/2 || total <= room {
			s = s[:min(len(s), room-len(b))]
			b = append(b, s...)
			taken += len(s)
		}
	}
	return b
}

// spread returns at most n of the samples, from all over the list, none longer than mostSample.
func spread(samples [][]byte, n int) [][]byte {
	n = min(n, len(samples))
	list := make([][]byte, n)
	for i := range list {
		s := samples[i*len(samples)/n]
		list[i] = s[:min(len(s), mostSample)]
	}
	return list
}

// TrainOptions say how TrainDictionary goes about it. The zero value is a good choice.
type TrainOptions struct {
	// Size is the most bytes that the dictionary may have, MinDictionary to wal.MaxDictionary; 0 is
	// DefaultDictionary.
	Size int
	// Samples is how many of the newest records to look at, at most 1,048,576; 0 is 4,000. No more than
	// 64 MiB are read.
	Samples int
	// Level is the level of zstd that the report is about; see Zstd.
	Level int
	// DryRun trains and reports, and sets nothing: the log may be open read-only.
	DryRun bool
}

// TrainReport is what came of TrainDictionary. A fourth of the records is held out, not trained with,
// and each compressed as an append of its own, with and without the dictionary.
type TrainReport struct {
	Topic string `json:"topic"`
	// Samples is how many records were trained with, SampleBytes their size as they are stored.
	Samples     int   `json:"samples"`
	SampleBytes int64 `json:"sample_bytes"`
	// HeldOut is how many were not, RawBytes their size, WithoutBytes and WithBytes what they take
	// compressed by zstd without and with the dictionary.
	HeldOut      int   `json:"held_out"`
	RawBytes     int64 `json:"raw_bytes"`
	WithoutBytes int64 `json:"without_bytes"`
	WithBytes    int64 `json:"with_bytes"`
	// RatioWithout and RatioWith are RawBytes to these.
	RatioWithout float64 `json:"ratio_without"`
	RatioWith    float64 `json:"ratio_with"`
	// DictionaryBytes is the length of the dictionary.
	DictionaryBytes int  `json:"dictionary_bytes"`
	DryRun          bool `json:"dry_run"`
	// Dictionary is what was set, nil in a dry run.
	Dictionary *wal.DictionaryInfo `json:"dictionary"`
}

// TrainDictionary trains a dictionary from the newest records of a topic, of all its partitions alike,
// and sets it with Manager.SetDictionary: appends to the topic that are compressed by Zstd use it from
// then on. It pays where appends are small and alike; RatioWith tells how much.
//
// It may be called while others append. Records that are lost or whose codec is not there are passed over. Errors wrap wal.ErrInvalid (options, too few records),
// wal.ErrNoPartition, ctx.Err(), or are those of reading and of SetDictionary.
func TrainDictionary(ctx context.Context, m *wal.Manager, topic string, o TrainOptions) (*TrainReport, error) {
	if o.Size == 0 {
		o.Size = DefaultDictionary
	}
	if o.Samples == 0 {
		o.Samples = defaultSamples
	}
	if o.Samples < minSamples || o.Samples > mostSamples {
		return nil, fmt.Errorf("%w: %d samples: from %d to %d", wal.ErrInvalid, o.Samples, minSamples, mostSamples)
	}
	all, err := readSamples(ctx, m, topic, o.Samples)
	if err != nil {
		return nil, err
	}
	r := &TrainReport{Topic: topic, DryRun: o.DryRun}
	var train, held [][]byte
	for i, b := range all {
		if i%4 == 3 {
			held = append(held, b)
		} else {
			train = append(train, b)
			r.SampleBytes += int64(len(b))
		}
	}
	r.Samples, r.HeldOut = len(train), len(held)
	dictionary, err := Train(train, o.Size)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %d records, three fourths of them samples: %w: append more records first", topic, len(all), err)
	}
	r.DictionaryBytes = len(dictionary)
	if err := r.compare(held, dictionary, o.Level); err != nil {
		return nil, err
	}
	if o.DryRun {
		return r, nil
	}
	info, err := m.SetDictionary(ctx, topic, dictionary)
	if err != nil {
		return nil, err
	}
	r.Dictionary = &info
	return r, nil
}

// compare compresses each record that was held out with and without the dictionary.
func (r *TrainReport) compare(held [][]byte, dictionary []byte, level int) error {
	plain, _ := Zstd(level).(zstdCodec)
	primed, err := plain.Prime(dictionary)
	if err != nil {
		return err
	}
	for _, b := range held {
		r.RawBytes += int64(len(b))
		r.WithoutBytes += stored(plain, b)
		r.WithBytes += stored(primed, b)
	}
	r.RatioWithout = float64(r.RawBytes) / float64(max(1, r.WithoutBytes))
	r.RatioWith = float64(r.RawBytes) / float64(max(1, r.WithBytes))
	return nil
}

// stored is how many bytes a batch takes.
func stored(c wal.Codec, b []byte) int64 {
	if out := c.Compress(nil, b); out != nil {
		return int64(len(out))
	}
	return int64(len(b))
}

// readSamples reads the newest records of a topic, as batches of one are encoded: as many of each
// partition.
func readSamples(ctx context.Context, m *wal.Manager, topic string, most int) ([][]byte, error) {
	var parts []*wal.Partition
	for _, info := range m.Partitions() {
		if info.Topic != topic {
			continue
		}
		p, err := m.Lookup(topic, info.Partition)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("%w: topic %s", wal.ErrNoPartition, topic)
	}
	var all [][]byte
	for _, p := range parts {
		next := p.NextOffset()
		from := max(p.FirstOffset(), next-int64(max(1, most/len(parts))))
		list, err := readPartition(ctx, p, from, next, mostRead/len(parts))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return interleave(all, len(parts)), nil
}

// interleave mixes the partitions' records, which stand one behind the other, so that what is held out and
// what comes last are of all of them.
func interleave(all [][]byte, parts int) [][]byte {
	mixed := make([][]byte, 0, len(all))
	step := (len(all) + parts - 1) / parts
	for i := range step {
		for j := i; j < len(all); j += step {
			mixed = append(mixed, all[j])
		}
	}
	return mixed
}

func readPartition(ctx context.Context, p *wal.Partition, from, to int64, room int) (list [][]byte, err error) {
	if from >= to {
		return nil, nil
	}
	for r, err := range p.Read(ctx, from) {
		var lost *wal.LostError
		if errors.As(err, &lost) {
			continue
		}
		if errors.Is(err, wal.ErrCodec) || errors.Is(err, wal.ErrDictionary) || errors.Is(err, wal.ErrOffsetOutOfRange) {
			return list, nil // what comes behind is not to be had, or what was to come was truncated
		}
		if err != nil {
			return nil, err
		}
		b := make([]byte, format.RecordSize(&r))
		format.PutRecord(b, &r, r.Timestamp.UnixNano())
		list = append(list, b)
		if room -= len(b); room < 0 || r.Offset+1 >= to {
			break
		}
	}
	return list, nil
}
