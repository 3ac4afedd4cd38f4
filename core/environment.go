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
}

// variable ties an environment variable to a field of config.
type variable struct {
	name, meaning string
	get           func(*config) string
	parse         func(*config, string) error
}

var variables = []variable{
	{envSegmentSize, "size at which a segment is full, bytes",
		func(c *config) string { return strconv.FormatInt(c.segmentSize, 10) },
		func(c *config, s string) (err error) { c.segmentSize, err = strconv.ParseInt(s, 10, 64); return err }},
	{envRotationAge, "age at which a segment is closed, ms",
		func(c *config) string { return strconv.FormatInt(c.rotationAge.Milliseconds(), 10) },
		func(c *config, s string) error {
			ms, err := strconv.ParseInt(s, 10, 64)
			if err == nil && (ms < 1 || ms > 1<<40) {
				err = fmt.Errorf("from 1 to %d", int64(1)<<40)
			}
			c.rotationAge = time.Duration(ms) * time.Millisecond
			return err
		}},
	{envFsyncMode, "always, batch or periodic",
		func(c *config) string { return c.fsync.String() },
		func(c *config, s string) (err error) { c.fsync, err = ParseFsyncMode(s); return err }},
	{envBufferSize, "write buffer, bytes",
		func(c *config) string { return strconv.Itoa(c.bufferSize) },
		func(c *config, s string) (err error) { c.bufferSize, err = strconv.Atoi(s); return err }},
	boolVariable(envLegacyFormat, "write the v0 layout", func(c *config) *bool { return &c.legacy }, false),
	boolVariable(envDisableURing, "pass io_uring over", func(c *config) *bool { return &c.disableURing }, false),
	boolVariable(envDisablePool, "do not use buffers again", func(c *config) *bool { return &c.bufferPool }, true),
	boolVariable(envStdLocks, "sync.Mutex as the append lock", func(c *config) *bool { return &c.stdLocks }, false),
}

func boolVariable(name, meaning string, field func(*config) *bool, inverted bool) variable {
	return variable{name, meaning,
		func(c *config) string { return strconv.FormatBool(*field(c) != inverted) },
		func(c *config, s string) error {
			b, err := strconv.ParseBool(s)
			*field(c) = b != inverted
			return err
		}}
}

// applyEnvironment sets what the environment names and no option has set.
func (c *config) applyEnvironment() error {
	for _, v := range variables {
		value, ok := os.LookupEnv(v.name)
		if !ok || value == "" || c.set[v.name] {
			continue
		}
		fresh := *c
		if err := v.parse(c, value); err != nil {
			return fmt.Errorf("%w environment variable %s=%q: %w", ErrInvalid, v.name, value, err)
		}
		if err := c.check(); err != nil {
			*c = fresh
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
	dir := Setting{Variable: envDataDir, Value: DataDir(), Source: "default", Meaning: "data directory"}
	if dir.Value != "" {
		dir.Source = "environment"
	}
	settings := []Setting{dir}
	for _, v := range variables {
		s := Setting{Variable: v.name, Value: v.get(c), Source: "default", Meaning: v.meaning}
		if c.set[v.name] {
			s.Source = "option"
		} else if os.Getenv(v.name) != "" {
			s.Source = "environment"
		}
		settings = append(settings, s)
	}
	return settings, nil
}
