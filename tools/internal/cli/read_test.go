package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

func TestReadRange(t *testing.T) {
	dir := t.TempDir()
	ok(t, "0\n1\n2\n3\n4\n", "append", "--dir", dir, "--topic", "t")
	for _, c := range []struct {
		flags []string
		want  string
		code  int
	}{
		{nil, "0\n1\n2\n3\n4\n", 0},
		{[]string{"--from", "3"}, "3\n4\n", 0},
		{[]string{"--from", "1", "--limit", "2"}, "1\n2\n", 0},
		{[]string{"--limit", "0"}, "", 0},
		{[]string{"--from", "5"}, "", 0},
		{[]string{"--from", "6"}, "", 2},
		{[]string{"--from", "-1"}, "", 2},
		{[]string{"--partition", "1"}, "", 2},
		{[]string{"--format", "xml"}, "", 2},
		{[]string{"--format", "length-prefixed", "--limit", "2"}, prefixed("0", "1"), 0},
	} {
		o := run(t, "", append([]string{"read", "--dir", dir, "--topic", "t"}, c.flags...)...)
		require.Equal(t, c.code, o.code, "%v: %s", c.flags, o.stderr)
		require.Equal(t, c.want, o.stdout, "%v", c.flags)
	}
	require.Contains(t, run(t, "", "read", "--dir", dir, "--topic", "u").stderr, "no such partition")

	ok(t, "", "truncate", "--dir", dir, "--topic", "t", "--before", "2")
	require.Equal(t, "2\n3\n4\n", ok(t, "", "read", "--dir", dir, "--topic", "t"))
	require.Equal(t, 2, run(t, "", "read", "--dir", dir, "--topic", "t", "--from", "1").code)
}

// The length-prefixed output is the input of append.
func TestReadLengthPrefixedIsInput(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	ok(t, prefixed("a\nb", "", "\xff\x00"), "append", "--dir", a, "--topic", "t", "--length-prefixed")
	out := ok(t, "", "read", "--dir", a, "--topic", "t", "--format", "length-prefixed")
	ok(t, out, "append", "--dir", b, "--topic", "t", "--length-prefixed")
	require.Equal(t, out, ok(t, "", "read", "--dir", b, "--topic", "t", "--format", "length-prefixed"))
}

func TestReadJSON(t *testing.T) {
	here := time.Local
	time.Local = time.FixedZone("", 7200) // what is printed does not depend on it
	defer func() { time.Local = here }()
	dir := t.TempDir()
	m, err := wal.Open(dir)
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 60, time.FixedZone("", 3600))
	_, err = m.Append(t.Context(), "t", 2,
		wal.Record{Timestamp: at, Key: []byte("k"), Value: []byte("<v> & é"), Headers: []wal.Header{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0xff}}, {Key: "", Value: nil}}},
		wal.Record{Timestamp: at, Key: []byte{0xfe}, Value: []byte{}},
		wal.Record{Timestamp: at})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	const when = `"timestamp":"2026-01-02T02:04:05.000000060Z"`
	require.Equal(t, strings.Join([]string{
		`{"topic":"t","partition":2,"offset":0,` + when + `,"key":"k","value":"<v> & é","headers":[` +
			`{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="},{"key":"","value":null}]}`,
		`{"topic":"t","partition":2,"offset":1,` + when + `,"key_base64":"/g==","value":"","headers":[]}`,
		`{"topic":"t","partition":2,"offset":2,` + when + `,"key":null,"value":null,"headers":[]}`,
	}, "\n")+"\n", ok(t, "", "read", "--dir", dir, "--topic", "t", "--partition", "2", "--format", "json"))
}

func TestReadFollow(t *testing.T) {
	dir := t.TempDir()
	ok(t, "0\n1\n", "append", "--dir", dir, "--topic", "t")
	feed, acked, wait := startAppend(t, dir)

	ctx, interrupt := context.WithCancel(t.Context())
	out, w := io.Pipe()
	done := make(chan int)
	go func() {
		done <- Run(ctx, Streams{strings.NewReader(""), w, io.Discard}, []string{"read", "--dir", dir, "--topic", "t", "--follow", "--from", "1"})
	}()
	read := bufio.NewReader(out)
	for i := 1; i < 6; i++ {
		if i > 1 {
			feedf(t, feed, "%d\n", i)
			_, err := acked.ReadString('\n')
			require.NoError(t, err)
		}
		line, err := read.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d\n", i), line)
	}
	interrupt()
	require.Zero(t, <-done)
	feed.Close()
	require.Zero(t, wait())
	require.Equal(t, "0\n1\n2\n", ok(t, "", "read", "--dir", dir, "--topic", "t", "--follow", "--limit", "3"))
}

// A follower whose partition is truncated under it says so, and how to go on.
func TestReadFollowTruncated(t *testing.T) {
	dir := t.TempDir()
	m, err := wal.Open(dir)
	require.NoError(t, err)
	value := wal.Record{Value: []byte("x")}
	_, err = m.Append(t.Context(), "t", 0, value, value, value)
	require.NoError(t, err)
	out, w := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan int)
	go func() {
		done <- Run(t.Context(), Streams{strings.NewReader(""), w, &stderr}, []string{"read", "--dir", dir, "--topic", "t", "--follow"})
	}()
	_, err = io.ReadFull(out, make([]byte, len("x\nx\nx\n")))
	require.NoError(t, err)
	p, err := m.Partition("t", 0)
	require.NoError(t, err)
	require.NoError(t, p.TruncateAfter(t.Context(), 0))
	_, err = m.Append(t.Context(), "t", 0, value, value, value)
	require.NoError(t, err)
	require.Equal(t, 2, <-done, "although there is a record at the offset it waited for")
	require.Equal(t, "chronik-wal read: topic t partition 0 was truncated while it was read, with offset 3 due: go on with --from 1\n", stderr.String())
	require.NoError(t, m.Close())
}

// One writer, several readers at once, each sees a prefix.
func TestReadersBesideWriter(t *testing.T) {
	dir := t.TempDir()
	feed, acked, wait := startAppend(t, dir)
	feedf(t, feed, "0\n")
	_, err := acked.ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, acked) }()
	written := make(chan struct{})
	var all strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&all, "%d\n", i)
	}
	go func() {
		defer close(written)
		_, _ = io.WriteString(feed, strings.TrimPrefix(all.String(), "0\n"))
		feed.Close()
	}()
	for range 20 {
		got := ok(t, "", "read", "--dir", dir, "--topic", "t")
		require.True(t, strings.HasPrefix(all.String(), got) && strings.HasSuffix(got, "\n"))
	}
	<-written
	require.Zero(t, wait())
	require.True(t, all.String() == ok(t, "", "read", "--dir", dir, "--topic", "t"))
}
