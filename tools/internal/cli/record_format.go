package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	wal "github.com/chronik-go/wal/core"
)

// recordEncoder returns what writes a record to out in the format that --format names.
func recordEncoder(f readFlags, out *bufio.Writer) (func(*wal.Record) error, error) {
	switch f.format {
	case "value":
		return func(r *wal.Record) error {
			if _, err := out.Write(r.Value); err != nil {
				return err
			}
			return out.WriteByte('\n')
		}, nil
	case "length-prefixed":
		return func(r *wal.Record) error { return putFrame(out, r.Value) }, nil
	case "json":
		e := newJSONEncoder(out)
		return func(r *wal.Record) error { return e.Encode(newRecordJSON(f.topic, f.partition, r)) }, nil
	}
	return nil, usagef("--format %q: one of value, json, length-prefixed", f.format)
}

// newJSONEncoder writes one line a value, and escapes no character for the sake of HTML.
func newJSONEncoder(out io.Writer) *json.Encoder {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e
}

// recordJSON is a record as read prints it. Of a field and its base64 twin one is there:
// text if the bytes are UTF-8, null if there are none, base64 else.
type recordJSON struct {
	Topic       string       `json:"topic"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	Timestamp   string       `json:"timestamp"`
	Key         any          `json:"key,omitempty"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       any          `json:"value,omitempty"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []headerJSON `json:"headers"`
}

type headerJSON struct {
	Key         any    `json:"key,omitempty"`
	KeyBase64   []byte `json:"key_base64,omitempty"`
	Value       any    `json:"value,omitempty"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
}

func newRecordJSON(topic string, partition int32, r *wal.Record) recordJSON {
	j := recordJSON{
		Topic:     topic,
		Partition: partition,
		Offset:    r.Offset,
		Timestamp: timestamp(r.Timestamp),
		Headers:   make([]headerJSON, len(r.Headers)),
	}
	j.Key, j.KeyBase64 = textOrBase64(r.Key)
	j.Value, j.ValueBase64 = textOrBase64(r.Value)
	for i := range j.Headers {
		h := &j.Headers[i]
		h.Key, h.KeyBase64 = textOrBase64([]byte(r.Headers[i].Key))
		h.Value, h.ValueBase64 = textOrBase64(r.Headers[i].Value)
	}
	return j
}

func textOrBase64(b []byte) (text any, base64 []byte) {
	switch {
	case b == nil:
		return (*string)(nil), nil
	case utf8.Valid(b):
		return string(b), nil
	}
	return nil, b
}

// timestamp is t as RFC 3339 with nanoseconds, in UTC.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") }
