module github.com/chronik-go/wal/compat-v0

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/chronik-go/wal/backend-posix v0.0.0
	github.com/chronik-go/wal/core v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/fatih/color v1.13.0 // indirect
	github.com/hashicorp/go-hclog v1.6.3 // indirect
	github.com/mattn/go-colorable v0.1.12 // indirect
	github.com/mattn/go-isatty v0.0.14 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/chronik-go/wal/backend-posix => ../backend-posix
	github.com/chronik-go/wal/codec => ../codec
	github.com/chronik-go/wal/conformance => ../conformance
	github.com/chronik-go/wal/core => ../core
)
