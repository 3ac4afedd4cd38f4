module github.com/chronik-go/wal/backend-uring

go 1.26.0

require (
	github.com/chronik-go/wal/backend-posix v0.0.0
	github.com/chronik-go/wal/conformance v0.0.0
	github.com/chronik-go/wal/core v0.0.0
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
)

require (
	github.com/anishathalye/porcupine v1.3.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/chronik-go/wal/codec v0.0.0 // indirect
	github.com/fatih/color v1.13.0 // indirect
	github.com/hashicorp/go-hclog v1.6.3 // indirect
	github.com/mattn/go-colorable v0.1.12 // indirect
	github.com/mattn/go-isatty v0.0.14 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.55.0 // indirect
)

replace (
	github.com/chronik-go/wal/backend-posix => ../backend-posix
	github.com/chronik-go/wal/conformance => ../conformance
	github.com/chronik-go/wal/core => ../core
)

replace github.com/chronik-go/wal/codec => ../codec
