"""The sentences for what went wrong, in English and Indonesian."""

from __future__ import annotations

ERROR_TEXTS: dict[str, tuple[str, str]] = {
    "no_answer": (
        "The server did not answer. The action may have happened; check before trying again.",
        "Server tidak menjawab. Mungkin sudah terjadi, mungkin belum; periksa dulu.",
    ),
    "not_sent": (
        "The server cannot be reached. Nothing was done; try again.",
        "Server tidak bisa dihubungi; tidak ada yang terjadi. Coba lagi.",
    ),
    "no_room": (
        "There is not enough room for this file now. Try a smaller file, or try again later.",
        "Tidak ada ruang untuk berkas ini sekarang. Coba yang lebih kecil, atau coba lagi nanti.",
    ),
    "no_room_for_page": (
        "The server's disk has no room for another page now. This page continues by itself once "
        "there is room. If this lasts, tell the people who run the server.",
        "Disk server tidak punya ruang untuk halaman lain saat ini. Halaman ini lanjut sendiri "
        "begitu ada ruang; jika ini berlangsung lama, beri tahu pengelola server.",
    ),
    "too_many_links": (
        "Too many files were shown in this window. Reload the page, then continue.",
        "Terlalu banyak berkas di jendela ini. Muat ulang halaman, lalu lanjutkan.",
    ),
    "unexpected": (
        "Something went wrong in the app ({what}). What you wrote is still here; try again.",
        "Ada yang salah di aplikasi ({what}). Tulisan Anda masih ada; coba lagi.",
    ),
    "error_bad_credentials": (
        "The username or the password is wrong.",
        "Nama pengguna atau kata sandi salah.",
    ),
    "error_user_exists": (
        "This username is taken. Choose another one.",
        "Nama pengguna ini sudah dipakai. Pilih yang lain.",
    ),
    "error_rate_limited": (
        "Too many attempts. Try again in {wait} seconds.",
        "Terlalu banyak percobaan. Coba lagi dalam {wait} detik.",
    ),
    "error_unknown_user": (
        "There is no person with this name. Check the spelling.",
        "Tidak ada yang bernama ini. Periksa ejaannya.",
    ),
    "error_unknown_group": (
        "There is no such group, or you are not in it.",
        "Grup itu tidak ada, atau Anda bukan anggotanya.",
    ),
    "error_unknown_realm": (
        "This realm is not known here. Add it first.",
        "Realm ini belum dikenal di sini. Tambahkan dulu.",
    ),
    "error_realm_exists": (
        "This name belongs to another realm. Choose another name.",
        "Nama itu sudah dipakai realm lain. Pilih nama lain.",
    ),
    "error_realm_unreachable": (
        "The realm does not answer. Check its address and port, and whether it is running.",
        "Realm itu tidak menjawab. Periksa alamat dan port-nya, dan apakah ia berjalan.",
    ),
    "error_realm_refused": (
        "That realm refused: it does not accept new realms, or has blocked this one.",
        "Realm itu menolak: tidak menerima realm baru, atau memblokir realm ini.",
    ),
    # Why there is no connection
    "why_not_running": (
        "the server is not running, or is just starting; trying again",
        "server tidak berjalan, atau baru mulai; dicoba lagi",
    ),
    "why_no_network": (
        "there is no route to the server: check the network of this device",
        "tidak ada jalan ke server: periksa jaringan perangkat ini",
    ),
    "why_no_such_name": (
        "no server with this name was found: check the name and the network",
        "server dengan nama ini tidak ditemukan: periksa namanya, dan jaringan",
    ),
    "why_silent": (
        "the server does not answer; trying again",
        "server tidak menjawab; dicoba lagi",
    ),
}
WHY: dict[str, str] = {
    "no such file": "why_not_running",
    "refused": "why_not_running",
    "connect call failed": "why_not_running",
    "unreachable": "why_no_network",
    "no route": "why_no_network",
    "network is down": "why_no_network",
    "not known": "why_no_such_name",
    "name resolution": "why_no_such_name",
    "nodename": "why_no_such_name",
    "no address": "why_no_such_name",
    "getaddrinfo": "why_no_such_name",
    "timed out": "why_silent",
    "no answer within": "why_silent",
    "connection broke": "why_silent",
    "timeout": "why_silent",
    "reset by peer": "why_silent",
    "broken pipe": "why_silent",
}
"""Fragments of the system's errors, in lower case, and the sentence for each."""
