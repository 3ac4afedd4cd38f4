package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chronik-go/wal/codec"
)

// flagError says which flag is wrong in how it was given, without the words of the
// libraries that found out.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		why := errors.Unwrap(err)
		var number *strconv.NumError
		if errors.As(why, &number) { // of the flags for yes or no, which are the library's
			why = errors.New("true or false")
		}
		return usagef("--%s %q: it has to be %w: see %s --help", invalid.GetFlag().Name, invalid.GetValue(), why, cmd.CommandPath())
	}
	return usagef("%w: see %s --help", err, cmd.CommandPath())
}

// whole is a flag for a whole number, in decimal digits, within bounds.
type whole[T int | int32 | int64 | uint64] struct {
	p         *T
	low, high int64
}

// wholeFlag adds such a flag, with its default.
func wholeFlag[T int | int32 | int64 | uint64](set *pflag.FlagSet, p *T, name string, value T, low, high int64, usage string) {
	*p = value
	set.Var(whole[T]{p, low, high}, name, usage)
}

func (w whole[T]) String() string {
	if w.p == nil {
		return ""
	}
	return fmt.Sprint(*w.p)
}

func (w whole[T]) Type() string { return "number" }

func (w whole[T]) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n >= w.low && n <= w.high:
		*w.p = T(n)
		return nil
	case w.high == math.MaxInt64:
		return fmt.Errorf("a whole number, at least %d", w.low)
	}
	return fmt.Errorf("a whole number from %d to %d", w.low, w.high)
}

// choice is a flag for one of several words.
type choice struct {
	p      *string
	values []string
	// besides says what else there could be; "" for nothing.
	besides string
}

// choiceFlag adds such a flag, with its default.
func choiceFlag(set *pflag.FlagSet, p *string, name, value string, values []string, usage string) {
	*p = value
	set.Var(choice{p: p, values: values}, name, usage)
}

func (c choice) String() string {
	if c.p == nil {
		return ""
	}
	return *c.p
}

func (c choice) Type() string { return "word" }

func (c choice) Set(text string) error {
	if !slices.Contains(c.values, text) {
		return errors.New(orList(c.values) + c.besides)
	}
	*c.p = text
	return nil
}

// codecFlag is a flag for a codec and its level.
type codecFlag string

func (c *codecFlag) String() string { return string(*c) }
func (c *codecFlag) Type() string   { return "codec" }

func (c *codecFlag) Set(text string) error {
	if _, err := codec.Named(text); err != nil {
		return errors.New(orList(codec.Names()) + ", with a level behind a colon, as in zstd:3; " + codec.Levels())
	}
	*c = codecFlag(text)
	return nil
}

// fileFlag is a flag for the name of a file. An empty one, of a variable of the shell that is not set
// say, is not taken for the flag's absence.
type fileFlag string

func (f *fileFlag) String() string { return string(*f) }
func (f *fileFlag) Type() string   { return "file" }

func (f *fileFlag) Set(text string) error {
	if text == "" {
		return errors.New("the name of a file")
	}
	*f = fileFlag(text)
	return nil
}

// durationUnits tells, in a help text, what a duration may look like.
const durationUnits = "like 10 (seconds), 500ms or 2m"

// orList is a list of words with "or" before the last.
func orList(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// seconds is a flag for a duration: 10s, 500ms, or a plain number of seconds.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "duration" }

func (s *seconds) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err == nil && math.Abs(n) < 1e9 {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("a duration, " + durationUnits)
	}
	*s = seconds(d)
	return nil
}

// sizeUnits tells, in a help text, what a size may look like.
const sizeUnits = "like 1000000, 500M (10^6) or 512MiB (2^20)"

// size is a flag for a number of bytes: 1000000, 512MiB, 1G (10^9).
type size int64

func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }
func (s *size) Type() string   { return "bytes" }

func (s *size) Set(text string) error {
	number, unit := strings.TrimRight(text, "KMGTiB"), int64(1)
	switch suffix := strings.TrimSuffix(text[len(number):], "B"); suffix {
	case "":
	case "K", "M", "G", "T":
		unit = int64(math.Pow10(3 * (1 + strings.Index("KMGT", suffix))))
	case "Ki", "Mi", "Gi", "Ti":
		unit = 1 << (10 * (1 + strings.Index("KMGT", suffix[:1])))
	default:
		return errors.New("a number of bytes, " + sizeUnits)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return errors.New("a number of bytes, " + sizeUnits)
	}
	*s = size(n * unit)
	return nil
}
