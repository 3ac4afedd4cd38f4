package codec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

const goldenDictionary = "testdata/golden/zstd.dict"

// pieces are parts of Go code, as a log of text has them.
func pieces(t testing.TB, n int) (list [][]byte) {
	t.Helper()
	all := text(t)
	for i := range n {
		size := 200 + i*137%800
		list = append(list, all[:size:size])
		all = all[size:]
	}
	return list
}

func trained(t testing.TB, samples [][]byte, size int) ([]byte, wal.Codec) {
	t.Helper()
	d, err := codec.Train(samples, size)
	require.NoError(t, err)
	return d, primed(t, codec.Zstd(0), d)
}

func primed(t testing.TB, c wal.Codec, dictionary []byte) wal.Codec {
	t.Helper()
	dc, ok := c.(wal.DictionaryCodec)
	require.True(t, ok)
	with, err := dc.Prime(dictionary)
	require.NoError(t, err)
	return with
}

func TestTrain(t *testing.T) {
	list := pieces(t, 800)
	train, held := list[:600], list[600:]
	for _, size := range []int{codec.MinDictionary, 32 << 10, wal.MaxDictionary} {
		d, with := trained(t, train, size)
		require.LessOrEqual(t, len(d), size)
		require.Greater(t, len(d), size/2)
		without, small, plain := 0, 0, codec.Zstd(0)
		for _, b := range held {
			out := with.Compress(nil, b)
			require.NotNil(t, out)
			requireDecompressed(t, with, b, out)
			small += len(out)
			if out := plain.Compress(nil, b); out != nil {
				without += len(out)
			} else {
				without += len(b)
			}
		}
		require.Less(t, small*10, without*9, "%d bytes", size)
		again, _ := trained(t, train, size)
		require.Equal(t, d, again)
	}
	same := bytes.Repeat([]byte("x"), 100)
	for name, samples := range map[string][][]byte{
		"none": nil, "few": train[:15], "empty": make([][]byte, 20), "short": bytes.SplitAfter([]byte("abcdefghijklmnopqrstuvwxyz"), nil),
	} {
		_, err := codec.Train(samples, codec.MinDictionary)
		require.ErrorIs(t, err, wal.ErrInvalid, name)
	}
	alike := make([][]byte, 20)
	for i := range alike {
		alike[i] = same
	}
	if d, err := codec.Train(alike, codec.MinDictionary); err == nil {
		primed(t, codec.Zstd(0), d)
	}
	small := make([][]byte, 80)
	for i := range small {
		small[i] = fmt.Appendf(nil, `{"level":"info","service":"orders","user":%04d,"path":"/api/v1/orders/%05d/items"}`, i*31, i*17)
	}
	_, err := codec.Train(small[:20], codec.MinDictionary)
	require.ErrorContains(t, err, "the samples have 1660 bytes together, too few for a dictionary of up to 4096: take more than 4096")
	_, err = codec.Train(small, codec.DefaultDictionary)
	require.ErrorContains(t, err, "the samples have 6640 bytes together, too few for a dictionary of up to 32768: take more than 32768, or more than 4096 and a smaller size")
	_, _ = trained(t, small, codec.MinDictionary) // as it says
	huge := bytes.Repeat([]byte("long sample, longer than a block of zstd; "), 20_000)
	_, _ = trained(t, append(train[:50:50], huge), codec.MinDictionary)
	for _, size := range []int{0, codec.MinDictionary - 1, wal.MaxDictionary + 1} {
		_, err := codec.Train(train, size)
		require.ErrorIs(t, err, wal.ErrInvalid)
	}
}

// Every level reads what every level compressed; another dictionary, or none, is refused, never taken.
func TestDictionariesAreToldApart(t *testing.T) {
	list := pieces(t, 200)
	a, _ := trained(t, list[:100], codec.MinDictionary)
	_, other := trained(t, list[100:], codec.MinDictionary)
	reads := primed(t, codec.Zstd(0), a)
	for level := range 5 {
		with := primed(t, codec.Zstd(level), a)
		require.EqualValues(t, 4, with.ID())
		require.Equal(t, "zstd-dict", with.Name())
		out := with.Compress(nil, list[3])
		requireDecompressed(t, reads, list[3], out)
		raw := make([]byte, len(list[3]))
		require.Error(t, other.Decompress(raw, out))
		require.Error(t, codec.Zstd(0).Decompress(raw, out))
		require.Error(t, reads.Decompress(raw, codec.Zstd(level).Compress(nil, append(list[3], list[3]...))))
	}
	require.Nil(t, reads.Compress(nil, nil))
	require.Nil(t, reads.Compress(nil, []byte{1, 2, 3}))
	dc, _ := codec.Zstd(0).(wal.DictionaryCodec)
	for _, bad := range [][]byte{nil, a[:7], bytes.Repeat([]byte("x"), 5000), append([]byte("x"), a[1:]...), append(bytes.Clone(a), 0)} {
		_, err := dc.DictionaryID(bad)
		require.Error(t, err)
		_, err = dc.Prime(bad)
		require.Error(t, err)
	}
	broken := append(bytes.Clone(a[:8]), 0xff, 0xff, 0xff)
	require.NoError(t, codec.SetDictionaryID(broken))
	_, err := dc.Prime(broken)
	require.Error(t, err)
	require.ErrorIs(t, codec.SetDictionaryID([]byte("no")), wal.ErrInvalid)
}

func TestGoldenDictionary(t *testing.T) {
	plain, err := os.ReadFile("testdata/golden/plain.txt")
	require.NoError(t, err)
	if *update {
		d, with := trained(t, pieces(t, 100), codec.MinDictionary)
		require.NoError(t, os.WriteFile(goldenDictionary, d, 0o600))
		require.NoError(t, os.WriteFile("testdata/golden/zstd-dict.bin", with.Compress(nil, plain), 0o600))
	}
	d, err := os.ReadFile(goldenDictionary)
	require.NoError(t, err)
	out, err := os.ReadFile("testdata/golden/zstd-dict.bin")
	require.NoError(t, err)
	requireDecompressed(t, primed(t, codec.Zstd(0), d), plain, out)
}

// A bomb is refused before memory is reserved for it, with a dictionary too.
func TestBombsWithDictionariesAreRefused(t *testing.T) {
	d, with := trained(t, pieces(t, 100), codec.MinDictionary)
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderDict(d))
	require.NoError(t, err)
	bomb := e.EncodeAll(make([]byte, 64<<20), nil)
	require.NoError(t, e.Close())
	raw := make([]byte, 1000)
	require.Error(t, with.Decompress(raw, bomb))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.Error(t, with.Decompress(raw, bomb))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// Any bytes decode to just the length asked for, or not at all.
func FuzzZstdDictionary(f *testing.F) {
	d, err := os.ReadFile(goldenDictionary)
	require.NoError(f, err)
	fuzzDecompressFrom(f, primed(f, codec.Zstd(0), d), "zstd-dict")
}

// Any bytes are a dictionary or none, and what is one compresses and decompresses.
func FuzzDictionary(f *testing.F) {
	d, err := os.ReadFile(goldenDictionary)
	require.NoError(f, err)
	f.Add(d, []byte("some text"))
	f.Fuzz(func(t *testing.T, d, src []byte) {
		if len(d) > wal.MaxDictionary || len(src) > 1<<16 || codec.SetDictionaryID(d) != nil {
			return
		}
		with, err := codec.Zstd(0).(wal.DictionaryCodec).Prime(d)
		if err != nil {
			return
		}
		if out := with.Compress(nil, src); out != nil {
			raw := make([]byte, len(src))
			require.NoError(t, with.Decompress(raw, out))
			require.Equal(t, src, raw)
		}
	})
}

// line is one of a log: such as do not shrink by themselves.
func line(i int) wal.Record {
	return wal.Record{Value: fmt.Appendf(nil, `{"level":"info","service":"orders","request_id":"%08x","user":%d,"path":"/api/v1/orders/%d/items","status":%d,"duration_ms":%d}`,
		uint32(i)*2654435761, i*31%5000, i*17%100000, 200+i%5, i*13%300)}
}

func TestTrainDictionary(t *testing.T) {
	ctx := context.Background()
	disk := sim.New(sim.Options{})
	opts := []wal.Option{wal.WithBackend(disk), wal.WithTopicCodec("lines", codec.Zstd(0)), wal.WithFsyncMode(wal.FsyncAlways)}
	m, err := wal.Open("/d", opts...)
	require.NoError(t, err)
	var parts []*wal.Partition
	for id := range int32(3) {
		p, err := m.Partition("lines", id)
		require.NoError(t, err)
		parts = append(parts, p)
	}
	n := 0
	more := func(count int) (bytes uint64) {
		before := m.Stats().Bytes
		for range count {
			_, err := parts[n%3].Append(ctx, line(n))
			require.NoError(t, err)
			n++
		}
		return m.Stats().Bytes - before
	}
	without := more(600)
	report, err := codec.TrainDictionary(ctx, m, "lines", codec.TrainOptions{DryRun: true})
	require.NoError(t, err)
	require.Nil(t, report.Dictionary)
	require.Equal(t, 600, report.Samples+report.HeldOut)
	require.Equal(t, 150, report.HeldOut)
	require.Greater(t, report.RatioWith, 2*report.RatioWithout)
	_, err = codec.TrainDictionary(ctx, m, "none", codec.TrainOptions{})
	require.ErrorIs(t, err, wal.ErrNoPartition)
	_, err = codec.TrainDictionary(ctx, m, "lines", codec.TrainOptions{Samples: 15})
	require.ErrorIs(t, err, wal.ErrInvalid)
	_, err = codec.TrainDictionary(ctx, m, "lines", codec.TrainOptions{Size: 100})
	require.ErrorIs(t, err, wal.ErrInvalid)
	require.InEpsilon(t, without, more(600), 0.05, "a dry run sets nothing")

	report, err = codec.TrainDictionary(ctx, m, "lines", codec.TrainOptions{Samples: 400, Size: 8 << 10})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Dictionary.Number)
	require.InDelta(t, 400, report.Samples+report.HeldOut, 3)
	require.LessOrEqual(t, report.Dictionary.Bytes, 8<<10)
	require.Less(t, more(600), without/2)
	report, err = codec.TrainDictionary(ctx, m, "lines", codec.TrainOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Dictionary.Number)
	more(600)
	require.NoError(t, m.Close())

	m, err = wal.Open("/d", wal.WithBackend(disk), wal.WithReadOnly())
	require.NoError(t, err)
	for id := range int32(3) {
		p, err := m.Lookup("lines", id)
		require.NoError(t, err)
		i := int(id)
		for r, err := range p.Read(ctx, 0) {
			require.NoError(t, err)
			require.Equal(t, string(line(i).Value), string(r.Value))
			i += 3
		}
		require.Equal(t, n+int(id), i)
	}
	require.NoError(t, m.Close())
	v, err := wal.Verify(ctx, "/d", wal.WithBackend(disk))
	require.NoError(t, err)
	require.True(t, v.OK)
	require.Zero(t, v.UncheckedBatches)
}

// encoded is a record as a batch of one, but for its size field, which is what it is.
func encoded(value []byte, i int) []byte {
	b := make([]byte, 24, 24+len(value))
	binary.LittleEndian.PutUint32(b, uint32(20+len(value)))
	binary.LittleEndian.PutUint64(b[4:], 1_700_000_000_000_000_000+uint64(i)*1_000_003)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(value)+1))
	return append(b, value...)
}

// Records of their own, small and alike: lines of JSON, and pieces of Go code of 200 to 1,000 bytes. The
// last fourth is compressed, what comes before trains.
func BenchmarkDictionary(b *testing.B) {
	sets := map[string][][]byte{}
	for i := range 4000 {
		sets["json"] = append(sets["json"], encoded(line(i).Value, i))
	}
	for i, p := range pieces(b, 1200) {
		sets["go"] = append(sets["go"], encoded(p, i))
	}
	for _, set := range []string{"json", "go"} {
		all := sets[set]
		train, held := all[:len(all)*3/4], all[len(all)*3/4:]
		for _, c := range []struct {
			name string
			size int
		}{{"without", 0}, {"4KiB", 4 << 10}, {"32KiB", 32 << 10}, {"112KiB", wal.MaxDictionary}} {
			use := codec.Zstd(0)
			if c.size > 0 {
				_, use = trained(b, train, c.size)
			}
			b.Run(set+"/"+c.name, func(b *testing.B) { compressEach(b, use, held) })
		}
	}
}

func compressEach(b *testing.B, c wal.Codec, list [][]byte) {
	dst := make([]byte, 0, 4096)
	in, out := 0, 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		src := list[i%len(list)]
		n := len(c.Compress(dst, src))
		if n == 0 {
			n = len(src)
		}
		in, out = in+len(src), out+n
	}
	b.ReportMetric(float64(in)/float64(out), "ratio")
	b.ReportMetric(float64(in)/float64(b.N), "B/record")
}
