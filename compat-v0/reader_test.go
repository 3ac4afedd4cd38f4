package walv0_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
)

// readAll reads a file, and checks that what is found fills it.
func readAll(t testing.TB, file string, limit int64) (values []string, bad []walv0.Item) {
	t.Helper()
	r := walv0.NewReader(strings.NewReader(file), int64(len(file)), limit)
	for at := int64(0); ; {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			require.EqualValues(t, len(file), at)
			return values, bad
		}
		require.NoError(t, err)
		require.Equal(t, at, item.Position)
		require.Positive(t, item.Size)
		at += item.Size
		if item.Record != nil && !item.BadCRC {
			values = append(values, string(item.Record.Value))
			continue
		}
		require.NotEmpty(t, item.Reason)
		require.False(t, item.Torn && at != int64(len(file)), "what is torn is at the end")
		bad = append(bad, item)
	}
}

var kinds = []encodable{
	one(1, "value"), v1{key: "key", value: "v", headers: []string{"name", "value", "", ""}},
	ab('a', "opaque"), ab('b', "opaque"), c(7, 9, 3, "opaque"), v2{variant: 'c', topic: "t", crc: zeroLength},
}

// A file that ends anywhere within a record has a torn tail, and all records before it.
func TestReaderTorn(t *testing.T) {
	for _, last := range kinds {
		text := file(one(0, "first"), last)
		start := len(file(one(0, "first")))
		for size := start; size < len(text); size++ {
			values, bad := readAll(t, text[:size], walv0.MaxRecord)
			require.Equal(t, []string{"first"}, values)
			if size == start {
				require.Empty(t, bad)
			} else {
				require.Len(t, bad, 1, "%d bytes of %d", size-start, len(text)-start)
				require.True(t, bad[0].Torn, "%d bytes of %d: %s", size-start, len(text)-start, bad[0].Reason)
			}
		}
	}
}

// A record that goes beyond the file is no torn tail where others stand behind it, though their CRCs are
// wrong: a crash cuts off the end, and an append would take what is torn away.
func TestReaderTornWithRecordsBehind(t *testing.T) {
	long := file(v1{value: string(make([]byte, 5000))})[:60]
	behind := strings.Replace(file(c(1, 1, 1, "opaque")), "opaque", "orange", 1) // the CRC is that of opaque
	text := file(c(0, 0, 1, "first")) + long + behind
	values, bad := readAll(t, text, walv0.MaxRecord)
	require.Equal(t, []string{"first"}, values)
	require.Len(t, bad, 1)
	require.False(t, bad[0].Torn)
}

// Nor is a last record that is whole, whichever bit of its sizes is wrong.
func TestReaderLastSizeFlipped(t *testing.T) {
	for _, last := range []encodable{kinds[0], kinds[1], kinds[4]} {
		text := file(one(0, "first"), last)
		start := len(file(one(0, "first")))
		for bit := range 32 {
			b := []byte(text)
			b[start+4+bit/8] ^= 1 << (bit % 8)
			values, bad := readAll(t, string(b), walv0.MaxRecord)
			require.Equal(t, []string{"first"}, values, "bit %d of the length", bit)
			require.Len(t, bad, 1)
			require.False(t, bad[0].Torn, "bit %d of the length: %s", bit, bad[0].Reason)
		}
	}
	text := []byte(file(one(0, "first"), kinds[4]))
	text[len(file(one(0, "first")))+13] ^= 0x80 // the topic's length
	_, bad := readAll(t, string(text), walv0.MaxRecord)
	require.Len(t, bad, 1)
	require.False(t, bad[0].Torn, bad[0].Reason)
}

// Whichever bit of a record in the middle is wrong, the others are there, and this one is told of.
func TestReaderFlippedBits(t *testing.T) {
	for _, middle := range kinds {
		before, record, after := file(one(0, "before")), file(middle), file(one(2, "after"))
		for bit := range len(record) * 8 {
			flipped := []byte(record)
			flipped[bit/8] ^= 1 << (bit % 8)
			values, bad := readAll(t, before+string(flipped)+after, walv0.MaxRecord)
			require.Equal(t, []string{"before", "after"}, values, "bit %d", bit)
			require.Len(t, bad, 1)
			require.False(t, bad[0].Torn)
			require.EqualValues(t, len(before), bad[0].Position)
			require.EqualValues(t, len(record), bad[0].Size)
		}
	}
}

// Records that are larger than what is read at once, and such that lie across its end.
func TestReaderLargeRecords(t *testing.T) {
	var records []encodable
	var want []string
	random := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{1, 3 << 20, 1<<20 - 40, 1 << 20, 5, 1<<20 - 45, 700_000, 700_000, 700_000} {
		value := strings.Repeat(string(rune('a'+i)), size+random.IntN(3))
		records, want = append(records, one(int64(i), value)), append(want, value)
	}
	values, bad := readAll(t, file(records...), walv0.MaxRecord)
	require.Equal(t, want, values)
	require.Empty(t, bad)
	values, bad = readAll(t, file(records...), 2<<20)
	require.Equal(t, append(want[:1:1], want[2:]...), values)
	require.Len(t, bad, 1, "one is over the limit")
}

// noise is a large file that no memory holds: it looks like the beginnings of long records.
type noise struct {
	pattern       string
	largest, read int64
}

func (n *noise) ReadAt(b []byte, at int64) (int, error) {
	n.largest = max(n.largest, int64(len(b)))
	n.read += int64(len(b))
	for i := range b {
		b[i] = n.pattern[(at+int64(i))%int64(len(n.pattern))]
	}
	return len(b), nil
}

// What bytes say of their size costs no memory beyond the limit, and finding none of them sound costs no
// reading again and again.
func TestReaderBoundedMemory(t *testing.T) {
	const size, limit = 32 << 20, 4 << 20
	for _, pattern := range []string{"\x00", "\x7e", "\x7e\xca\x01\x00\xff\xff\xff\x00", "\x7e\xca\x02\x00\xff\xff\xff\x7f\x00\x00\x00\x00\x00\x00\x7e"} {
		n := &noise{pattern: pattern}
		item, err := walv0.NewReader(n, size, limit).Next()
		require.NoError(t, err)
		require.EqualValues(t, size, item.Size)
		require.Equal(t, pattern == "\x00", item.Torn)
		require.LessOrEqual(t, n.largest, int64(limit), "%q", pattern)
		require.Less(t, n.read, int64(2*size), "%q", pattern)
	}
}

// An error of reading is one, and not the end of the file, nor damage.
func TestReaderFileThatShrinks(t *testing.T) {
	text := file(one(0, "a"), one(1, "b"))
	r := walv0.NewReader(strings.NewReader(text[:50]), int64(len(text)), walv0.MaxRecord)
	_, err := r.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, io.EOF)
	require.ErrorContains(t, err, "at byte 0")
}

func FuzzReader(f *testing.F) {
	for _, k := range kinds {
		f.Add([]byte(file(k)))
	}
	for _, g := range goldens {
		for _, text := range g.files {
			f.Add([]byte(text))
		}
	}
	sound := file(one(0, "sound"))
	f.Fuzz(func(t *testing.T, data []byte) {
		readAll(t, string(data), 1<<10)
		// Whatever stands before it, a sound record is found, unless it is part of another one.
		values, bad := readAll(t, string(data)+sound, 1<<20)
		if len(bad) > 0 && bad[len(bad)-1].Position+bad[len(bad)-1].Size > int64(len(data)) {
			require.True(t, bad[len(bad)-1].BadCRC, "%q", bad[len(bad)-1].Reason)
			return
		}
		require.NotEmpty(t, values)
		last := values[len(values)-1]
		require.True(t, strings.HasSuffix(last, "sound") || len(bad) > 0 || strings.Contains(last, "sound"), "%q", last)
	})
}
