Scalar.createApiReference("#reference", {
  url: "/openapi.json",
  // Nothing is to be fetched from, or told to, other servers.
  withDefaultFonts: false,
  telemetry: false,
  proxyUrl: "",
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
});
