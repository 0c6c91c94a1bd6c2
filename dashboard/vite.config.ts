import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Names without hashes: the build is committed, and its diffs stay small. The server answers with an ETag instead.
export default defineConfig({
  // Relative, so that the server may stand below any path; it writes that path into `<base href>`.
  base: "./",
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    sourcemap: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: {
    // A server of yours: LOOM_HTTP=127.0.0.1:8080 npm run dev
    proxy: { "/api": { target: `http://${process.env.LOOM_HTTP ?? "127.0.0.1:8080"}` } },
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"], restoreMocks: true },
});
