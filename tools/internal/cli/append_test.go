package cli

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

// acks are the lines that append prints for n records.
func acks(topic string, partition, first, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s %d %d\n", topic, partition, first+i)
	}
	return b.String()
}

// prefixed is a length-prefixed input.
func prefixed(values ...string) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return string(b)
}

func TestAppendReadRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name, input, output string
		records             int
		flags               []string
	}{
		{"lines", "a\nbc\nd\n", "a\nbc\nd\n", 3, nil},
		{"no newline at the end", "a\nb", "a\nb\n", 2, []string{"--lines"}},
		{"empty lines are records", "\n\na\n\n", "\n\na\n\n", 4, nil},
		{"no input, no record", "", "", 0, nil},
		{"other bytes", "\x00\xff\r\n\t\xfe\n", "\x00\xff\r\n\t\xfe\n", 2, nil},
		{"200,000 lines", lines(200_000), lines(200_000), 200_000, nil},
		{"one in flight", lines(100), lines(100), 100, []string{"--inflight", "1"}},
		{"batches", lines(100), lines(100), 100, []string{"--batch", "7"}},
		{"batch beyond the input", "a\nb\n", "a\nb\n", 2, []string{"--batch", "1000"}},
		{"longer than a buffer", strings.Repeat("long ", 1<<20) + "\nshort\n",
			strings.Repeat("long ", 1<<20) + "\nshort\n", 2, nil},
		{"length-prefixed", prefixed("a\nb", "", "c"), "a\nb\n\nc\n", 3, []string{"--length-prefixed"}},
		{"length-prefixed, long", prefixed(strings.Repeat("x", 3<<20)), strings.Repeat("x", 3<<20) + "\n", 1,
			[]string{"--length-prefixed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"append", "--dir", dir, "--topic", "t", "--partition", "3"}, c.flags...)
			require.Equal(t, acks("t", 3, 0, c.records), ok(t, c.input, args...))
			if c.records == 0 {
				return
			}
			got := ok(t, "", "read", "--dir", dir, "--topic", "t", "--partition", "3")
			require.True(t, got == c.output, "read %d bytes, want %d", len(got), len(c.output))
			require.Equal(t, acks("t", 3, c.records, 1), ok(t, "more\n", "append", "--dir", dir, "--topic", "t", "--partition", "3"))
		})
	}
}

// A directory that was mistyped is told by the log that append makes there.
func TestAppendSaysThatItMadeALog(t *testing.T) {
	other := t.TempDir()
	dir := filepath.Join(other, "new")
	args := []string{"append", "--dir", dir, "--topic", "t"}
	require.True(t, run(t, "a\n", args...).made)
	require.True(t, run(t, "a\n", "append", "--dir", other, "--topic", "t").made, "there was something, and no log")
	require.False(t, run(t, "a\n", "append", "--dir", t.TempDir(), "--topic", "t").made)
	require.False(t, run(t, "b\n", args...).made)
	require.Equal(t, "a\nb\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
	require.Equal(t, acks("t", 0, 2, 1), ok(t, "c\n", append(args, "--must-exist")...))
}

func TestAppendBatchIsOneAppend(t *testing.T) {
	dir := t.TempDir()
	ok(t, lines(10), "append", "--dir", dir, "--topic", "t", "--batch", "4")
	var batches []int
	for line := range strings.Lines(ok(t, "", "dump", "--dir", dir, "--json")) {
		item := decode[struct {
			Kind  wal.DumpKind
			Entry wal.DumpEntryInfo
		}](t, line)
		if item.Kind == wal.DumpData {
			batches = append(batches, item.Entry.Count)
		}
	}
	require.Equal(t, []int{4, 4, 2}, batches)
}

// Neither records nor acks wait for the end of the input.
func TestAppendAcksWhileInputIsOpen(t *testing.T) {
	in, feed, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	out, acked := io.Pipe()
	done := make(chan int)
	go func() {
		done <- Run(t.Context(), Streams{in, acked, io.Discard}, []string{"append", "--dir", t.TempDir(), "--topic", "t"})
		acked.Close()
	}()
	lines := bufio.NewReader(out)
	for i := range 5 {
		feedf(t, feed, "record %d\n", i)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("t 0 %d\n", i), line)
	}
	feed.Close()
	require.Zero(t, <-done)
}

// What was acknowledged is in the log while the writer still has it open.
func TestReadBesideRunningAppend(t *testing.T) {
	dir := t.TempDir()
	feed, acked, wait := startAppend(t, dir)
	for i := range 3 {
		feedf(t, feed, "record %d\n", i)
		_, err := acked.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, i+1, strings.Count(ok(t, "", "read", "--dir", dir, "--topic", "t"), "\n"))
	}
	o := run(t, "x\n", "append", "--dir", dir, "--topic", "t")
	require.Equal(t, 2, o.code)
	require.Contains(t, o.stderr, "locked")
	require.Contains(t, ok(t, "", "verify", "--dir", dir), "records          3\n")
	feed.Close()
	require.Zero(t, wait())
}

// startAppend runs append within this process, on a pipe.
func startAppend(t *testing.T, dir string) (feed *os.File, acked *bufio.Reader, wait func() int) {
	t.Helper()
	in, feed, err := os.Pipe()
	require.NoError(t, err)
	out, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- Run(t.Context(), Streams{in, w, io.Discard}, []string{"append", "--dir", dir, "--topic", "t"})
		w.Close()
		in.Close()
	}()
	t.Cleanup(func() { feed.Close() })
	return feed, bufio.NewReader(out), func() int { return <-done }
}

func TestAppendRefusesBrokenInput(t *testing.T) {
	huge := binary.LittleEndian.AppendUint32(nil, 100<<20)
	for _, c := range []struct {
		name, input, want string
		flags             []string
		records           int
	}{
		{"cut off in a length", prefixed("abc", "d") + "\x01\x00", "record 3, at byte 12 of the input, is cut off: the input ends 2 bytes into its length", []string{"--length-prefixed"}, 2},
		{"cut off in a record", prefixed("abc", "defg")[:13], "record 2, at byte 7 of the input, is cut off: the input ends after 2 of its 4 bytes", []string{"--length-prefixed"}, 1},
		{"cut off in a batch", prefixed("abc", "defg")[:13], "record 2, at byte 7", []string{"--length-prefixed", "--batch", "9"}, 1},
		{"length over the limit", prefixed("abc") + string(huge), "record 2, at byte 7 of the input, says that it has 104857600 bytes: the limit is 104857576", []string{"--length-prefixed"}, 1},
		{"line over the limit", "a\n" + strings.Repeat("x", recordLimit+1) + "\nb\n", "record 2, at byte 2 of the input, is longer than the limit of 104857576 bytes", nil, 1},
		{"batch over the limit", strings.Repeat("x", recordLimit-10) + "\nabc\n", "records 1 to 2 of the input: record too large", []string{"--batch", "2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			o := run(t, c.input, append([]string{"append", "--dir", dir, "--topic", "t"}, c.flags...)...)
			require.Equal(t, 1, o.code, o.stderr)
			require.Contains(t, o.stderr, c.want)
			require.Equal(t, 1, strings.Count(o.stderr, "\n"), "one line: %s", o.stderr)
			require.Equal(t, acks("t", 0, 0, c.records), o.stdout, "what came before is acknowledged")
		})
	}
}

func TestAppendRecordAtTheLimit(t *testing.T) {
	dir := t.TempDir()
	line := bytes.Repeat([]byte{'x'}, recordLimit)
	require.Equal(t, acks("t", 0, 0, 1), ok(t, string(line)+"\n", "append", "--dir", dir, "--topic", "t"))
	got := ok(t, "", "read", "--dir", dir, "--topic", "t")
	require.True(t, got == string(line)+"\n", "read %d bytes", len(got))
}

// The same input once more is not appended twice, wherever it was cut before and into whatever
// batches; each record's line tells the place of the first time.
func TestAppendOfAProducer(t *testing.T) {
	for _, c := range []struct{ first, second int }{{1, 1}, {4, 4}, {4, 3}, {3, 4}, {1, 100}} {
		dir := t.TempDir()
		args := func(batch int) []string {
			return []string{"append", "--dir", dir, "--topic", "t", "--producer", "42", "--batch", strconv.Itoa(batch)}
		}
		again := func(n, there, batch int) string {
			t.Helper()
			o := run(t, lines(n), args(batch)...)
			require.Zero(t, o.code, o.stderr)
			require.Equal(t, fmt.Sprintf("chronik-wal append: %d records of producer 42 were there before: not appended again\n", there), o.stderr)
			return o.stdout
		}
		require.Equal(t, acks("t", 0, 0, 10), ok(t, lines(10), args(c.first)...))
		require.Equal(t, acks("t", 0, 0, 25), again(25, 10, c.second))
		require.Equal(t, acks("t", 0, 0, 25), again(25, 25, c.first))
		require.Equal(t, lines(25), ok(t, "", "read", "--dir", dir, "--topic", "t"))
		require.Contains(t, ok(t, "", "dump", "--dir", dir), "producer 000000000000002a: sequence numbers 0 to 24 from offset 0")

		require.Equal(t, acks("t", 0, 25, 1), ok(t, "x\n", "append", "--dir", dir, "--topic", "t"))
		require.Equal(t, acks("t", 0, 0, 25)+acks("t", 0, 26, 1), again(26, 25, 1))
		require.Equal(t, strings.Repeat("t 0 -1\n", 25)+acks("t", 0, 26, 1), again(26, 26, 1))
	}
}

// A repetition by its numbers that has another value than what is there is refused, and what comes
// before it is told; records that are gone cannot be compared.
func TestAppendOfAProducerWithOtherContents(t *testing.T) {
	for _, batch := range []string{"1", "2", "3"} {
		dir := t.TempDir()
		args := []string{"append", "--dir", dir, "--topic", "t", "--producer", "7", "--batch", batch}
		ok(t, "a\nb\nc\nd\ne\nf\n", args...)
		o := run(t, "a\nb\nc\nd\nX\nf\ng\n", args...)
		require.Equal(t, 1, o.code)
		require.Contains(t, o.stderr, "record 5 of the input was appended before, at offset 4, with another value")
		require.True(t, strings.HasPrefix(acks("t", 0, 0, 4), o.stdout), o.stdout)
		require.Equal(t, "a\nb\nc\nd\ne\nf\n", strings.Join(strings.SplitAfter(ok(t, "", "read", "--dir", dir, "--topic", "t"), "\n")[:6], ""))
		ok(t, "", "truncate", "--dir", dir, "--topic", "t", "--before", "5")
		require.Zero(t, run(t, "a\nb\nc\nd\nX\nf\n", args...).code)
	}
}

func TestAppendJSON(t *testing.T) {
	args := []string{"append", "--dir", t.TempDir(), "--topic", `t"<`, "--partition", "3", "--json", "--producer", "7"}
	line := `{"topic":"t\"\u003c","partition":3,"offset":%d,"duplicate":%v}` + "\n"
	require.Equal(t, fmt.Sprintf(line, 0, false)+fmt.Sprintf(line, 1, false), ok(t, "a\nb\n", args...))
	require.Equal(t, fmt.Sprintf(line, 0, true)+fmt.Sprintf(line, 1, true)+fmt.Sprintf(line, 2, false), run(t, "a\nb\nc\n", args...).stdout)
}
