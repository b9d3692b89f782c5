-- expect: wildcard-of-a-tld.lua:2: "*.com" would be every name under a top-level domain; name the domains
return policy "x" { network = { allow { "github.com", "*.com" } } }
