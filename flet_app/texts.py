"""All sentences of the app, in English and Indonesian."""

from __future__ import annotations

from flet_app.error_texts import ERROR_TEXTS

TEXTS: dict[str, tuple[str, str]] = {
    # Signing in
    "app_name": ("Simple Chatting", "Simple Chatting"),
    "tagline": (
        "Your own chat, on your own server",
        "Obrolan Anda sendiri, di server Anda sendiri",
    ),
    "username": ("Username", "Nama pengguna"),
    "username_hint": ("1 to 32 of A-Z a-z 0-9 . _ -", "1 sampai 32 dari A-Z a-z 0-9 . _ -"),
    "password": ("Password", "Kata sandi"),
    "password_hint": ("6 to 128 characters", "6 sampai 128 karakter"),
    "admin_code": ("Admin code", "Kode admin"),
    "admin_code_hint": (
        "This realm has no admin yet. If you run it, enter the code that the server printed at "
        "its start. Otherwise leave this empty.",
        "Realm ini belum punya admin. Jika Anda yang menjalankannya, isi kode yang dicetak saat "
        "mulai; jika bukan, kosongkan saja.",
    ),
    "wrong_code": (
        "This is not the code that the server printed at its latest start.",
        "Ini bukan kode yang dicetak saat mulai terakhir.",
    ),
    "invitation_code": ("Invitation", "Undangan"),
    "invitation_code_hint": ("The code that an admin gave you", "Kode yang diberikan admin"),
    "wrong_invitation": (
        "This code is wrong, used up or expired. Ask for another one.",
        "Salah, habis, atau kedaluwarsa. Mintalah lagi.",
    ),
    "registration_closed": (
        "Registration is closed on this realm. Ask its admin for an account.",
        "Pendaftaran di realm ini ditutup. Mintalah akun kepada adminnya.",
    ),
    "show_password": ("Show password", "Tampilkan ketikan"),
    "hide_password": ("Hide password", "Sembunyikan ketikan"),
    "real_name": ("Real name", "Nama lengkap"),
    "country": ("Country", "Negara"),
    "sign_in": ("Sign in", "Masuk"),
    "create_account": ("Create account", "Buat akun"),
    "have_account": ("I already have an account", "Saya sudah punya akun"),
    "server": ("Server", "Server"),
    "server_hint": ("ws://host:port or wss://host", "ws://host:port atau wss://host"),
    "bad_server": (
        "Enter the server as ws://host:port or wss://host",
        "Tulis server sebagai ws://host:port atau wss://host",
    ),
    "connecting": ("Connecting ...", "Menghubungkan ..."),
    "missing": ("This is required", "Harap diisi"),
    "session_ended": (
        "You were signed out: {why}. Sign in again.",
        "Anda dikeluarkan: {why}. Silakan masuk lagi.",
    ),
    "sign_out": ("Sign out", "Keluar"),
    # The list
    "new_chat": ("New chat", "Obrolan baru"),
    "new_group": ("New group", "Grup baru"),
    "add_realm": ("Add realm", "Tambah realm"),
    "list_cut": (
        "Showing {shown} of {count}; type to narrow",
        "Menampilkan {shown} dari {count}; ketik untuk menyaring",
    ),
    "filter": ("Filter conversations", "Saring percakapan"),
    "menu": ("Menu", "Menu"),
    "realms": ("Realms", "Realm"),
    "dark": ("Dark colours", "Warna gelap"),
    "light": ("Light colours", "Warna terang"),
    "language": ("Bahasa Indonesia", "English"),
    "signed_in_as": ("{user} on {realm}", "{user} di {realm}"),
    "nothing_yet": (
        "No conversations yet. Start one with New chat.",
        "Belum ada percakapan. Mulai dengan Obrolan baru.",
    ),
    "nothing_found": ("Nothing matches {wanted}", "Tidak ada yang cocok dengan {wanted}"),
    "unread": ("{count} unread", "{count} belum dibaca"),
    "you": ("You", "Anda"),
    "file_line": ("File: {name}", "Berkas: {name}"),
    "no_messages": ("No messages yet", "Belum ada pesan"),
    # Messages
    "choose": (
        "Choose a conversation, or start one with New chat",
        "Pilih percakapan, atau mulai dengan Obrolan baru",
    ),
    "back": ("Back to the list", "Kembali ke daftar"),
    "details": ("About this conversation", "Tentang percakapan ini"),
    "write": ("Write a message", "Tulis pesan"),
    "send": ("Send", "Kirim"),
    "attach": ("Attach file", "Lampirkan berkas"),
    "today": ("Today", "Hari ini"),
    "yesterday": ("Yesterday", "Kemarin"),
    "unread_line": ("Unread from here", "Belum dibaca mulai dari sini"),
    "say_hello": ("No messages yet. Say hello!", "Belum ada tulisan. Sapalah!"),
    "newest": ("Jump to newest", "Ke yang terbaru"),
    "newest_count": ("Jump to newest ({count} new)", "Ke yang terbaru ({count} baru)"),
    "waiting": ("waiting", "menunggu"),
    "stored": ("stored", "tersimpan"),
    "queued": ("queued", "antre"),
    "delivered": ("delivered", "terkirim"),
    "read": ("read", "dibaca"),
    "refused": ("refused", "ditolak"),
    "refused_why": ("refused: {why}", "ditolak: {why}"),
    "queued_for": ("queued for {realm}", "antre untuk {realm}"),
    "members_one": ("1 member", "1 anggota"),
    "members_count": ("{count} members", "{count} anggota"),
    "in_realm": ("in realm {realm}", "di realm {realm}"),
    "realm_away": (
        "{realm} is not connected; messages wait until it is",
        "{realm} sedang tidak tersambung; pesan menunggunya",
    ),
    "too_long": (
        "Too long: a message may have {most} bytes of UTF-8, and this one has {size}. "
        "Shorten it, or attach it as a file.",
        "Terlalu panjang: satu pesan paling banyak {most} byte UTF-8, dan ini {size}. "
        "Persingkat, atau lampirkan sebagai berkas.",
    ),
    # Files
    "save": ("Save {name}", "Simpan {name}"),
    "cancel_file": ("Cancel {name}", "Batalkan {name}"),
    "no_picture": ("This picture cannot be shown", "Bukan gambar yang bisa ditampilkan"),
    "large_picture": ("This picture is too large to be shown", "Terlalu besar untuk ditampilkan"),
    "many_pixels": (
        "{width} × {height} pixels, too many to be shown",
        "{width} × {height} piksel, terlalu banyak untuk ditampilkan",
    ),
    "long_animation": (
        "This animation is too large to be shown",
        "Animasi yang terlalu besar untuk ditampilkan",
    ),
    "damaged_picture": (
        "This picture is damaged and cannot be shown. It can still be saved.",
        "Gambar ini rusak dan tidak bisa ditampilkan. Anda tetap bisa menyimpannya.",
    ),
    "enlarge": ("Enlarge {name}", "Perbesar {name}"),
    "close": ("Close", "Tutup"),
    "file_failed": ("{name}: {why}", "{name}: {why}"),
    "upload_broke": (
        "the upload is incomplete; attach the file again",
        "tidak sampai utuh; lampirkan lagi",
    ),
    "too_many_files": (
        "Only the first {most} files are sent. Attach the others separately.",
        "Hanya {most} berkas pertama yang dikirim; pilih lagi yang lain.",
    ),
    "saved_at": ("Saved as {path}", "Disimpan sebagai {path}"),
    # The connection
    "offline": (
        "No connection. Your messages wait here and are sent once the connection is back.",
        "Tidak ada koneksi. Yang Anda tulis menunggu dan dikirim saat tersambung lagi.",
    ),
    "page_away": (
        "The app cannot be reached. Keep writing: your messages wait here and are sent when the "
        "app is back.",
        "Aplikasi tidak dapat dihubungi. Teruslah menulis: tulisan Anda disimpan di sini dan "
        "dikirim saat aplikasi tersambung lagi.",
    ),
    "page_waits": ("Waiting: {text}", "Menunggu: {text}"),
    "offline_why": ("Why: {why}", "Sebab: {why}"),
    "unreachable": (
        "{server} cannot be reached ({why}). Trying again.",
        "{server} tidak bisa dihubungi ({why}). Dicoba lagi.",
    ),
    "title_unread": ("({count}) {name}", "({count}) {name}"),
    # Dialogs
    "cancel": ("Cancel", "Batal"),
    "person": ("Person", "Orang"),
    "person_hint": (
        "bob, or bob@beta for a person in realm beta",
        "bob, atau bob@beta untuk orang di realm beta",
    ),
    "open": ("Open", "Buka"),
    "group_name": ("Group name", "Nama grup"),
    "group_realm": ("Hosted by", "Dihosting oleh"),
    "this_realm": ("this realm", "realm ini"),
    "create": ("Create", "Buat"),
    "realm_name": ("Name", "Nama"),
    "realm_name_hint": ("the name for it here, such as beta", "sebutannya di sini, misalnya beta"),
    "address": ("Address", "Alamat"),
    "address_hint": (
        "host name or IP address; with wss:// before it for TLS",
        "host-nya; dengan wss:// di depan untuk TLS",
    ),
    "port": ("Port", "Port"),
    "bad_port": (
        "The port must be a number from 1 to 65535",
        "Port adalah angka dari 1 sampai 65535",
    ),
    "fingerprint": ("Fingerprint of its key (optional)", "Sidik jari kuncinya (opsional)"),
    "fingerprint_hint": (
        "as its operator told you; the realm must then prove this key",
        "yang diberitahukan pemiliknya; realm itu harus punya kunci ini",
    ),
    "add": ("Add", "Tambah"),
    "realm_added": (
        "{name} was added. Compare this fingerprint with the one its operator gives: {fingerprint}",
        "{name} ditambahkan. Bandingkan sidik jarinya dengan kata pemiliknya: {fingerprint}",
    ),
    "no_realms": (
        "No other realm has been added yet. Add one to write to its people.",
        "Belum ada realm lain. Tambahkan satu untuk menyurati orangnya.",
    ),
    "link_up": ("connected", "tersambung"),
    "link_down": ("not connected", "tidak tersambung"),
    "realm_queue": ("{count} deliveries are waiting", "{count} kiriman menunggunya"),
    "they_joined": ("{user} joined", "{user} bergabung"),
    "they_left": ("{user} left", "{user} keluar"),
    "they_removed": ("{user} was removed", "{user} dikeluarkan"),
    "they_show_history": (
        "{user} lets new members read everything",
        "{user} mengizinkan anggota baru membaca semuanya",
    ),
    "they_hide_history": (
        "{user} chose that new members read only what is written after they join",
        "{user} memilih agar anggota baru hanya membaca yang ditulis setelah mereka bergabung",
    ),
    "new_members_read": (
        "New members can read earlier messages",
        "Anggota baru bisa membaca pesan lama",
    ),
    "joining_only": (
        "New members read only what is written after they join",
        "Anggota baru hanya membaca yang ditulis setelah mereka bergabung",
    ),
    "you_joined": ("You were added to {name}", "Anda ditambahkan ke {name}"),
    "you_invited": ("You are invited to {name}", "Anda diundang ke {name}"),
    "invitation_hint": (
        "A stranger of another realm invites you. The group stays hidden until you accept.",
        "Oleh orang dari realm lain yang tidak Anda kenal. Isinya tampak setelah Anda terima.",
    ),
    "accept": ("Accept", "Terima"),
    "decline": ("Decline", "Tolak"),
    "block": ("Block", "Blokir"),
    "unblock": ("Unblock", "Buka blokir"),
    "block_person": ("Block or unblock", "Blokir atau buka blokir"),
    "block_sure": (
        "Block {user}? They can no longer send you messages or invitations. They are not notified.",
        "Blokir {user}? Pesan dan undangannya tidak masuk lagi. Ia tidak diberi tahu.",
    ),
    "unblock_sure": (
        "{user} is blocked. Unblock them? You then get their messages and invitations again.",
        "{user} diblokir. Buka blokirnya? Pesan dan undangannya masuk lagi.",
    ),
    "blocked": ("{user} is blocked", "{user} diblokir"),
    "unblocked": ("{user} is no longer blocked", "{user} tidak diblokir lagi"),
    "you_removed": ("You were removed from {name}", "Anda dikeluarkan dari {name}"),
    "draft": ("Draft: {text}", "Draf: {text}"),
    "remove_sure": (
        "Remove {user} from {name}? Only the owner can invite them again.",
        "Keluarkan {user} dari {name}? Hanya pemilik yang bisa mengundangnya lagi.",
    ),
    "remove_person": ("Remove", "Keluarkan"),
    "members": ("Members", "Anggota"),
    "owner": ("owner", "pemilik"),
    "member": ("member", "anggota"),
    "invite": ("Invite", "Undang"),
    "invite_hint": ("bob, or bob@beta", "bob, atau bob@beta"),
    "remove": ("Remove {user}", "Keluarkan {user}"),
    "leave_group": ("Leave group", "Tinggalkan grup"),
    "leave_sure": (
        "Leave {name}? You can no longer read it, unless a member invites you again.",
        "Tinggalkan {name}? Anda tidak melihat isinya lagi sampai diundang anggota lain.",
    ),
    **ERROR_TEXTS,
}
