package codec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// TestMain fails if a codec left a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files anew")

// levels are the codecs in all their levels, by the name that Named takes.
func levels(t testing.TB) map[string]wal.Codec {
	t.Helper()
	list := map[string]wal.Codec{}
	for name, highest := range map[string]int{"lz4": 9, "zstd": 4, "s2": 2} {
		for level := range highest + 1 {
			name := fmt.Sprintf("%s:%d", name, level)
			c, err := codec.Named(name)
			require.NoError(t, err)
			list[name] = c
		}
	}
	return list
}

// text is Go code: what is compressed here, and by who logs text.
func text(t testing.TB) []byte {
	t.Helper()
	names, err := filepath.Glob("../core/*.go")
	require.NoError(t, err)
	var all []byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		all = append(all, b...)
	}
	require.Greater(t, len(all), 500_000)
	return all
}

func TestRoundTrip(t *testing.T) {
	all := text(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for name, c := range levels(t) {
		t.Run(name, func(t *testing.T) {
			for range 30 {
				size := random.IntN(1 << random.IntN(18))
				src := all[random.IntN(len(all)-size):][:size]
				dst := append(make([]byte, 0, random.IntN(2*size+9)+3), "abc"...)
				out := c.Compress(dst, src)
				if size > 4096 {
					require.NotNil(t, out)
				}
				if out == nil {
					continue
				}
				require.Less(t, len(out)-3, size)
				require.Equal(t, "abc", string(out[:3]), "it is appended")
				requireDecompressed(t, c, src, out[3:])
			}
		})
	}
}

// requireDecompressed demands that out is src decompressed, and is refused where another length
// is expected.
func requireDecompressed(t *testing.T, c wal.Codec, src, out []byte) {
	t.Helper()
	raw := make([]byte, len(src))
	require.NoError(t, c.Decompress(raw, out))
	require.True(t, bytes.Equal(src, raw))
	require.Error(t, c.Decompress(make([]byte, len(src)+1), out))
	if len(src) > 0 {
		require.Error(t, c.Decompress(raw[:len(src)-1], out))
	}
	require.Error(t, c.Decompress(raw, out[:len(out)-1]), "cut off")
}

func TestWhatDoesNotShrinkIsGivenUp(t *testing.T) {
	noise := make([]byte, 5000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise)
	for name, c := range levels(t) {
		for _, n := range []int{0, 1, 2, 20, 5000} {
			require.Nil(t, c.Compress(nil, noise[:n]), "%s, %d bytes", name, n)
		}
	}
}

// Compressed batches of every codec, as they were written once, stay readable.
func TestGolden(t *testing.T) {
	plain, err := os.ReadFile("testdata/golden/plain.txt")
	require.NoError(t, err)
	for _, name := range codec.Names()[1:] {
		c, err := codec.Named(name)
		require.NoError(t, err)
		file := "testdata/golden/" + name + ".bin"
		if *update {
			require.NoError(t, os.WriteFile(file, c.Compress(nil, plain), 0o600))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		raw := make([]byte, len(plain))
		require.NoError(t, c.Decompress(raw, golden), name)
		require.Equal(t, string(plain), string(raw), name)
	}
}

func TestNamed(t *testing.T) {
	ids := map[string]uint8{"lz4": 1, "zstd": 2, "s2": 3}
	for name, c := range levels(t) {
		base, _, _ := strings.Cut(name, ":")
		require.Equal(t, base, c.Name())
		require.Equal(t, ids[base], c.ID())
	}
	c, err := codec.Named("none")
	require.NoError(t, err)
	require.Nil(t, c)
	for _, name := range []string{"", "gzip", "none:1", "lz4:", "lz4:10", "zstd:5", "s2:-1", "s2:x"} {
		_, err := codec.Named(name)
		require.ErrorIs(t, err, wal.ErrInvalid, name)
	}
	require.Equal(t, codec.Zstd(4), codec.Zstd(100))
	require.Equal(t, codec.LZ4(0), codec.LZ4(-1))
}

// A level that searches longer finds more.
func TestLevelsDiffer(t *testing.T) {
	src := text(t)[:200_000]
	for name, highest := range map[string]int{"lz4": 9, "zstd": 4, "s2": 2} {
		fast, err := codec.Named(name)
		require.NoError(t, err)
		best, err := codec.Named(fmt.Sprintf("%s:%d", name, highest))
		require.NoError(t, err)
		require.Less(t, len(best.Compress(nil, src)), len(fast.Compress(nil, src))*97/100, name)
	}
}

// What claims to be large is refused before memory is reserved for it.
func TestBombsAreRefused(t *testing.T) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	claims := binary.AppendUvarint(nil, 1<<31)
	bombs := map[string][]byte{
		"lz4":  append([]byte{0x1f, 0, 1, 0}, bytes.Repeat([]byte{255}, 1<<20)...),
		"zstd": e.EncodeAll(make([]byte, 64<<20), nil),
		"s2":   append(claims, 0, 1),
	}
	require.NoError(t, e.Close())
	for name, bomb := range bombs {
		c, err := codec.Named(name)
		require.NoError(t, err)
		raw := make([]byte, 1000)
		_ = c.Decompress(raw, bomb) // makes what is pooled
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.Error(t, c.Decompress(raw, bomb), name)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

// Any bytes decode to just the length asked for, or not at all; nothing is written behind it.
func fuzzDecompress(f *testing.F, c wal.Codec) { fuzzDecompressFrom(f, c, c.Name()) }

func fuzzDecompressFrom(f *testing.F, c wal.Codec, name string) {
	f.Helper()
	plain, err := os.ReadFile("testdata/golden/plain.txt")
	require.NoError(f, err)
	golden, err := os.ReadFile("testdata/golden/" + name + ".bin")
	require.NoError(f, err)
	f.Add(golden, len(plain))
	f.Add(golden[:len(golden)/2], 100)
	f.Add([]byte{}, 0)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x07, 0}, 1)
	f.Fuzz(func(t *testing.T, src []byte, size int) {
		size = min(max(size, 0), 1<<16)
		before := bytes.Clone(src)
		mem := make([]byte, size+64)
		for i := range mem[size:] {
			mem[size+i] = 0xaa
		}
		raw := mem[:size]
		err := c.Decompress(raw, src)
		require.Equal(t, before, src, "the input is left as it is")
		require.Equal(t, bytes.Repeat([]byte{0xaa}, 64), mem[size:], "written behind the end")
		if err != nil {
			return
		}
		again := make([]byte, size)
		require.NoError(t, c.Decompress(again, src))
		require.Equal(t, raw, again)
	})
}

func FuzzLZ4(f *testing.F)  { fuzzDecompress(f, codec.LZ4(0)) }
func FuzzZstd(f *testing.F) { fuzzDecompress(f, codec.Zstd(0)) }
func FuzzS2(f *testing.F)   { fuzzDecompress(f, codec.S2(0)) }

// A log of each codec gives back what was appended, also to who knows the codec by import alone.
func TestLog(t *testing.T) {
	all := text(t)
	ctx := context.Background()
	for name, c := range levels(t) {
		disk := sim.New(sim.Options{})
		m, err := wal.Open("/d", wal.WithBackend(disk), wal.WithCodec(c))
		require.NoError(t, err)
		p, err := m.Partition("t", 0)
		require.NoError(t, err)
		for i := range 20 {
			_, err := p.Append(ctx, wal.Record{Value: all[i*1000 : i*1000+1000]}, wal.Record{Value: all[i*100 : i*100+10]})
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())
		report, err := wal.Verify(ctx, "/d", wal.WithBackend(disk))
		require.NoError(t, err)
		require.True(t, report.OK)
		require.Zero(t, report.UncheckedBatches)

		m, err = wal.Open("/d", wal.WithBackend(disk), wal.WithReadOnly())
		require.NoError(t, err)
		info, err := m.Segments()
		require.NoError(t, err)
		require.Contains(t, info[0].Codecs, c.Name())
		require.Less(t, info[0].StoredBytes, info[0].RawBytes*9/10, name)
		p, err = m.Lookup("t", 0)
		require.NoError(t, err)
		n := 0
		for r, err := range p.Read(ctx, 0) {
			require.NoError(t, err)
			at, size := n/2*1000, 1000
			if n%2 == 1 {
				at, size = n/2*100, 10
			}
			require.Equal(t, string(all[at:at+size]), string(r.Value))
			n++
		}
		require.Equal(t, 40, n)
		require.NoError(t, m.Close())
	}
}

func BenchmarkCompress(b *testing.B) {
	all := text(b)
	for _, name := range []string{"lz4", "lz4:9", "s2", "s2:1", "zstd", "zstd:2", "zstd:3"} {
		c, err := codec.Named(name)
		require.NoError(b, err)
		for _, size := range []int{1 << 10, 4 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				dst := make([]byte, 0, 2*size)
				in, out := 0, 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := i * size % (len(all) - size)
					in, out = in+size, out+len(c.Compress(dst, all[at:at+size]))
				}
				b.ReportMetric(float64(in)/float64(out), "ratio")
			})
		}
	}
}
