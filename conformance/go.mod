module github.com/chronik-go/wal/conformance

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/chronik-go/wal/core v0.0.0
	github.com/stretchr/testify v1.12.1
	golang.org/x/sys v0.49.0
)

replace github.com/chronik-go/wal/core => ../core
