"""The serving bundle: what it holds, the one loader, its checks, its card, and staging for model servers."""
