module strongroom.dev/core/select/oracle

go 1.22

require (
	github.com/tidwall/gjson v1.14.4
	gjson.test/later v1.18.0
)

require (
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
)

// The same module a second time, at the version that external-secrets uses.
replace gjson.test/later v1.18.0 => github.com/tidwall/gjson v1.18.0
