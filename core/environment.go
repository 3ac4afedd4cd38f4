package wal

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// The environment variables.
const (
	envDataDir      = "CHRONIK_WAL_DATA_DIR"
	envSegmentSize  = "CHRONIK_WAL_SEGMENT_SIZE"
	envRotationAge  = "CHRONIK_WAL_ROTATION_AGE"
	envFsyncMode    = "CHRONIK_WAL_FSYNC_MODE"
	envBufferSize   = "CHRONIK_WAL_BUFFER_SIZE"
	envLegacyFormat = "CHRONIK_WAL_LEGACY_FORMAT"
	envDisableURing = "CHRONIK_WAL_DISABLE_IO_URING"
	envDisablePool  = "CHRONIK_WAL_DISABLE_BUFFER_POOL"
	envStdLocks     = "CHRONIK_WAL_USE_STD_LOCKS"
)

// Setting is one variable of the environment and what is in force for it.
type Setting struct {
	Variable string `json:"variable"`
	Value    string `json:"value"`
	// Source is "default", "environment" or "option".
	Source  string `json:"source"`
	Meaning string `json:"meaning"`
	// Values says what the variable may be.
	Values string `json:"values"`
}

// variable ties an environment variable to a field of config.
type variable struct {
	name, meaning string
	// values says what it may be.
	values string
	get    func(*config) string
	// parse sets the field. It reports whether the text is one of the values.
	parse func(*config, string) bool
}

var variables = []variable{
	numberVariable(envSegmentSize, "size at which a segment is full", "bytes", MinSegmentSize, MaxSegmentSize,
		func(c *config) int64 { return c.segmentSize }, func(c *config, n int64) { c.segmentSize = n }),
	numberVariable(envRotationAge, "age at which a segment is closed", "ms", 1, 1<<40,
		func(c *config) int64 { return c.rotationAge.Milliseconds() },
		func(c *config, n int64) { c.rotationAge = time.Duration(n) * time.Millisecond }),
	{envFsyncMode, "when an append is acknowledged", "always, batch or periodic",
		func(c *config) string { return c.fsync.String() },
		func(c *config, s string) bool {
			m, err := ParseFsyncMode(s)
			c.fsync = m
			return err == nil
		}},
	numberVariable(envBufferSize, "write buffer of a log", "bytes", MinBufferSize, MaxBufferSize,
		func(c *config) int64 { return int64(c.bufferSize) }, func(c *config, n int64) { c.bufferSize = int(n) }),
	boolVariable(envLegacyFormat, "the v0 layout, to go back: of the module compat-v0 and the command's append, read, ls and verify", func(c *config) *bool { return &c.legacy }, false),
	boolVariable(envDisableURing, "pass io_uring over in the choice of a backend", func(c *config) *bool { return &c.disableURing }, false),
	boolVariable(envDisablePool, "do not use buffers again", func(c *config) *bool { return &c.bufferPool }, true),
	boolVariable(envStdLocks, "sync.Mutex as the append lock, in place of the FIFO-fair one", func(c *config) *bool { return &c.stdLocks }, false),
}

// numberVariable is a whole number of some unit.
func numberVariable(name, meaning, unit string, low, high int64, get func(*config) int64, set func(*config, int64)) variable {
	return variable{name, meaning + ", " + unit, fmt.Sprintf("a whole number of %s from %d to %d", unit, low, high),
		func(c *config) string { return strconv.FormatInt(get(c), 10) },
		func(c *config, s string) bool {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < low || n > high {
				return false
			}
			set(c, n)
			return true
		}}
}

func boolVariable(name, meaning string, field func(*config) *bool, inverted bool) variable {
	return variable{name, meaning, "true or false",
		func(c *config) string { return strconv.FormatBool(*field(c) != inverted) },
		func(c *config, s string) bool {
			b, err := strconv.ParseBool(s)
			*field(c) = b != inverted
			return err == nil
		}}
}

// applyEnvironment sets what the environment names and no option has set.
func (c *config) applyEnvironment() error {
	for _, v := range variables {
		value := os.Getenv(v.name)
		if value == "" || c.set[v.name] {
			continue
		}
		if !v.parse(c, value) {
			return fmt.Errorf("%w environment variable %s=%q: it has to be %s", ErrInvalid, v.name, value, v.values)
		}
		if err := c.check(); err != nil {
			return fmt.Errorf("environment variable %s=%q: %w", v.name, value, err)
		}
	}
	return nil
}

// DataDir returns the data directory that the environment names, "" if none.
func DataDir() string { return os.Getenv(envDataDir) }

// Environment returns what is in force for each environment variable under opts.
func Environment(opts ...Option) ([]Setting, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	dir := Setting{
		Variable: envDataDir, Value: DataDir(), Source: "default",
		Meaning: "data directory, for the command", Values: "a path",
	}
	if dir.Value != "" {
		dir.Source = "environment"
	}
	settings := []Setting{dir}
	for _, v := range variables {
		s := Setting{Variable: v.name, Value: v.get(c), Source: "default", Meaning: v.meaning, Values: v.values}
		if c.set[v.name] {
			s.Source = "option"
		} else if os.Getenv(v.name) != "" {
			s.Source = "environment"
		}
		settings = append(settings, s)
	}
	return settings, nil
}
