"""Chemotherapy of a low-grade glioma, with its scans."""
