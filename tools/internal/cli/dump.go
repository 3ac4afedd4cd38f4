package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
)

func (c *cli) dumpCommand() *cobra.Command {
	var o wal.DumpOptions
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print frames, batches and records as they lie on disk",
		Long: "Print frames, batches and records as they lie on disk, also what was truncated\n" +
			"since. With --json, one object a line. Changes no byte and works beside a running\n" +
			"writer. Where something is damaged it says so, goes on, and exits with 1. Without a key it\n" +
			"shows of encrypted records where they are; a key that is given and does not fit is an error.",
		Args: noArguments,
	}
	wholeFlag(cmd.Flags(), &o.Segment, "segment", 0, 1, math.MaxInt64, "`number` of the one segment to print (default: all)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.dump(cmd.Context(), o, *asJSON) }
	return cmd
}

func (c *cli) dump(ctx context.Context, o wal.DumpOptions, asJSON bool) error {
	dir, err := c.dataDir()
	if err != nil {
		return err
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(c.Stdout, 64<<10)
	put := dumpText(out)
	if asJSON {
		e := newJSONEncoder(out)
		put = func(item *wal.DumpItem) error { return e.Encode(newDumpJSON(item)) }
	}
	var bad error
	for item, err := range wal.Dump(ctx, dir, o, opts...) {
		if err != nil {
			err = errorsFirst(err, stdoutError(out.Flush()))
			if bad != nil && errors.Is(err, wal.ErrKey) {
				return bad
			}
			return err
		}
		if bad == nil && item.Error != "" {
			bad = fmt.Errorf("%w: %s at byte %d: %s: see chronik-wal verify", wal.ErrDamaged, item.Segment, item.Position, item.Error)
		}
		if err := put(&item); err != nil {
			return stdoutError(err)
		}
	}
	return errorsFirst(bad, stdoutError(out.Flush()))
}

// errorsFirst returns the first error there is.
func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// dumpJSON is an item whose record looks as read prints it.
type dumpJSON struct {
	*wal.DumpItem
	Record *recordJSON `json:"record,omitempty"`
}

func newDumpJSON(item *wal.DumpItem) dumpJSON {
	j := dumpJSON{DumpItem: item}
	if r := item.Record; r != nil {
		record := wal.Record{Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, wal.Header{Key: h.Key, Value: h.Value})
		}
		as := newRecordJSON(r.Topic, r.Partition, &record)
		j.Record = &as
	}
	return j
}

// dumpText returns what prints an item as a line: position, length, kind, details. A
// segment's items stand below its name.
func dumpText(out io.Writer) func(*wal.DumpItem) error {
	segment := ""
	return func(item *wal.DumpItem) error {
		if item.Segment != segment {
			segment = item.Segment
			if _, err := fmt.Fprintln(out, segment); err != nil {
				return err
			}
		}
		line := fmt.Sprintf("%12d %10d  %-18s %s", item.Position, item.Length, indent(item)+string(item.Kind), details(item))
		if item.Error != "" {
			line = strings.TrimRight(line, " ") + " ! " + oneLine(item.Error)
		}
		if item.Entry != nil && item.Note != "" {
			line += ", "
		}
		line += item.Note
		_, err := fmt.Fprintln(out, strings.TrimRight(line, " "))
		return err
	}
}

// indent shows what belongs to what.
func indent(item *wal.DumpItem) string {
	switch {
	case item.Record != nil:
		return "    "
	case item.Entry != nil, item.Partition != nil:
		return "  "
	}
	return ""
}

func details(item *wal.DumpItem) string {
	switch {
	case item.Header != nil:
		h := item.Header
		return fmt.Sprintf("log %s, number %d, epoch %v, %s, first LSN %d, after %s", h.Log, h.Number, h.Epoch, h.Checksum, h.FirstLSN, linkText(h.Predecessor)) + keyText(h.Key)
	case item.Frame != nil:
		f := item.Frame
		return fmt.Sprintf("LSN %d, durable LSN %d, %d entries, CRC %08x, chain %08x", f.LSN, f.Durable, f.Entries, f.CRC, f.Chain)
	case item.Entry != nil:
		return entryText(item)
	case item.Record != nil:
		r := item.Record
		return fmt.Sprintf("%s/%d offset %d, %s, key %s, value %s, %d headers", r.Topic, r.Partition, r.Offset,
			timestamp(r.Timestamp), excerpt(r.Key), excerpt(r.Value), len(r.Headers))
	case item.Footer != nil:
		f := item.Footer
		return fmt.Sprintf("%d frames, %d records, %d partitions, XXH64 %v, end %s", f.Frames, f.Records, f.Partitions, f.XXH64, linkText(f.End))
	case item.Partition != nil:
		return partitionText(item.Partition)
	case item.End != nil:
		text := "the log ends at " + linkText(*item.End)
		if item.Unsealed {
			text += ", not all segments could be sealed"
		}
		return text
	}
	return ""
}

// keyText names a segment's data key.
func keyText(k *wal.DumpKey) string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf(", key %s for %s, wrapped in %d bytes", k.ID, k.Cipher, k.WrappedSize)
}

// partitionText shows what a footer says of a partition: where it stood when the segment
// began, and what came in it.
func partitionText(p *wal.DumpPartitionInfo) string {
	runs := make([]string, len(p.Runs))
	for i, r := range p.Runs {
		runs[i] = runText(r)
	}
	return fmt.Sprintf("%s/%d id %d, at the segment's start first offset %d and next offset %d, then: %s; %d index entries; "+
		"%d bytes stored, %d decoded, codecs: %s",
		p.Topic, p.Partition, p.ID, p.First, p.Next, strings.Join(runs, ", "), p.Index, p.StoredBytes, p.RawBytes, strings.Join(p.Codecs, " "))
}

func runText(r wal.DumpRun) string {
	text := fmt.Sprintf("%s %d", r.Kind, r.Base)
	switch {
	case r.Kind == string(wal.DumpData) && r.Moved:
		text = fmt.Sprintf("moved records %d to %d", r.Base, r.End-1)
	case r.Kind == string(wal.DumpData):
		text = fmt.Sprintf("records %d to %d", r.Base, r.End-1)
	}
	return text + fmt.Sprintf(" from LSN %d on", r.LSN)
}

func entryText(item *wal.DumpItem) string {
	e := item.Entry
	name := fmt.Sprintf("%s/%d id %d", e.Topic, e.Partition, e.PartitionID)
	switch item.Kind {
	case wal.DumpDeclare:
		return fmt.Sprintf("%s, first offset %d, next offset %d", name, e.First, e.Base)
	case wal.DumpProducer:
		return fmt.Sprintf("%s, producer %s: sequence numbers %d to %d from offset %d", name, e.Producer, e.Sequence, e.Sequence+int64(e.Count)-1, e.Base)
	case wal.DumpData:
		text := fmt.Sprintf("%s, LSN %d, %d records from offset %d, CRC %08x", name, e.LSN, e.Count, e.Base, e.CRC)
		if e.Codec != 0 {
			text += fmt.Sprintf(", %s, %d bytes decoded, ratio %s", e.CodecName, e.RawLength, ratioText(e.RawLength, item.Length))
		}
		if e.Sealed {
			text += ", encrypted"
		}
		if e.Gap > 0 {
			text += fmt.Sprintf(", %d offsets before it declared empty", e.Gap)
		}
		if e.Moved {
			text += ", moved"
		}
		if e.Transaction {
			text += ", of one transaction with the batch before it"
		}
		return text
	}
	return fmt.Sprintf("%s, LSN %d, offset %d", name, e.LSN, e.Base)
}

func linkText(l wal.DumpLink) string {
	return fmt.Sprintf("segment %d byte %d LSN %d", l.Segment, l.End, l.LSN)
}

// excerptBytes is how much of a key or value a line shows.
const excerptBytes = 48

func excerpt(b []byte) string {
	switch {
	case b == nil:
		return "none"
	case len(b) > excerptBytes:
		return fmt.Sprintf("%q… (%d bytes)", b[:excerptBytes], len(b))
	}
	return fmt.Sprintf("%q", b)
}
