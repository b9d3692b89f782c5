-- expect: row-in-wrong-place.lua:4: `allow` belongs in `network`, not in `files`
return policy "x" {
  files = {
    allow { "github.com" },
  },
}
