-- expect: relative-path.lua:6: "etc/ssl" is not absolute; it starts with /
return policy "x" {
  files = {
    read_only {
      "/usr",
      "etc/ssl",
    },
  },
}
